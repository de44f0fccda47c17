//! Reflection, as a command-line tool sees it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use polywire::{
    Channel, Server,
    health::Health,
    reflection::v1::{
        ExtensionRequest, ServerReflectionClient, ServerReflectionRequest,
        server_reflection_request::MessageRequest as Question, server_reflection_response::MessageResponse as Answer,
    },
};
use shared::{EchoServer, Echoer};

fn reflecting() -> Channel {
    // Reflection tells also of what is added behind it.
    let server = Server::new().with_reflection().add(Health::new().0).add(EchoServer::new(Echoer)).start().unwrap();
    let channel = Channel::in_memory(&server.handle()).build().unwrap();
    tokio::spawn(server.serve());
    channel
}

async fn ask(questions: impl IntoIterator<Item = Question>) -> Vec<Answer> {
    let client = ServerReflectionClient::new(reflecting());
    let (mut requests, mut responses) = client.server_reflection_info().await.unwrap();
    let mut answers = Vec::new();
    for question in questions {
        let request =
            ServerReflectionRequest { host: "h".to_owned(), message_request: Some(question), ..Default::default() };
        requests.send(&request).await.unwrap();
        let response = responses.next().await.unwrap().unwrap();
        assert_eq!(response.valid_host, "h");
        assert_eq!(response.original_request.as_option(), Some(&request));
        answers.push(response.message_response.unwrap());
    }
    requests.close();
    assert_eq!(responses.next().await.unwrap(), None);
    answers
}

fn files(answer: &Answer) -> usize {
    match answer {
        Answer::FileDescriptorResponse(files) => files.file_descriptor_proto.len(),
        other => panic!("not files: {other:?}"),
    }
}

#[tokio::test]
async fn all_services_are_listed() {
    let answers = ask([Question::ListServices(String::new())]).await;
    let Answer::ListServicesResponse(list) = &answers[0] else { panic!("{answers:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    let all = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "polywire.test.v1.Echo",
    ];
    assert_eq!(names, all);
}

#[tokio::test]
async fn files_are_found_by_name_and_by_symbol() {
    let symbol = |name: &str| Question::FileContainingSymbol(name.to_owned());
    let answers = ask([
        Question::FileByFilename("polywire/test/v1/echo.proto".to_owned()),
        symbol("polywire.test.v1.Echo"),
        symbol("polywire.test.v1.Echo.Chat"),
        symbol("polywire.test.v1.EchoRequest.wait_ms"),
        symbol("grpc.health.v1.HealthCheckResponse.SERVING"),
    ])
    .await;
    assert!(answers.iter().all(|answer| files(answer) == 1), "{answers:?}");
}

#[tokio::test]
async fn what_is_not_there_is_an_answer_and_the_stream_goes_on() {
    let answers = ask([
        Question::FileByFilename("none.proto".to_owned()),
        Question::FileContainingSymbol("a.None".to_owned()),
        Question::AllExtensionNumbersOfType("a.None".to_owned()),
        ExtensionRequest { containing_type: "a.None".to_owned(), extension_number: 1, ..Default::default() }.into(),
    ])
    .await;
    for answer in answers {
        let Answer::ErrorResponse(error) = answer else { panic!("{answer:?}") };
        assert_eq!(error.error_code, 5, "{error:?}");
    }
}

#[tokio::test]
async fn a_message_without_extensions_has_no_numbers() {
    let answers = ask([Question::AllExtensionNumbersOfType("polywire.test.v1.EchoReply".to_owned())]).await;
    let Answer::AllExtensionNumbersResponse(numbers) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(
        (numbers.base_type_name.as_str(), &numbers.extension_number[..]),
        ("polywire.test.v1.EchoReply", &[][..])
    );
}
