//! Our own client of REST against the same service: what it sends has to come back.

use std::{fmt::Debug, net::SocketAddr};

use conformance::{
    google::api::HttpBody,
    polywire::test::v1::{Everything, RestClient, everything::Sub},
};
use polywire::{Channel, Code, MessageField, Status};

/// What came of each case.
type Outcomes = Vec<(&'static str, Result<(), String>)>;

/// Plays all cases over one wire.
pub(super) async fn play(address: SocketAddr, wire: &str) -> Result<Outcomes, String> {
    let scheme = if wire == "h1" { "http" } else { "h2c" };
    let channel = Channel::to(format!("rest+{scheme}://{address}")).map_err(|error| error.to_string())?;
    let client = RestClient::new(channel);
    let text = |text: &str| text.to_owned();

    let get = Everything {
        name: text("messages/a b"),
        revision: 7,
        tags: vec![text("x"), text("y&z")],
        ..Everything::default()
    };
    let whole = Everything {
        sub: MessageField::some(Sub { subfield: text("s"), ..Sub::default() }),
        raw: vec![255, 0].into(),
        ..get.clone()
    };
    let both = Everything { message_id: text("1/2"), name: text("n"), ..Everything::default() };
    let part = Everything {
        message_id: text("1"),
        flag: true,
        message: MessageField::some(Everything { name: text("n"), ..Everything::default() }),
        ..Everything::default()
    };
    let tags = Everything { tags: get.tags.clone(), ..Everything::default() };
    let file = HttpBody { content_type: text("a/b"), data: vec![1, 2, 3].into(), ..HttpBody::default() };
    let without_mask = |answer: Everything| Everything { update_mask: MessageField::none(), ..answer };
    let failing = Everything { code: 9, ..Everything::default() };
    let ok = |result: Result<Everything, Status>, wanted: &Everything| {
        result.map_err(|status| status.to_string()).and_then(|answer| equal(&answer, wanted))
    };
    Ok(vec![
        ("client: path and query", ok(client.get(&get).await, &get)),
        ("client: a whole body", ok(client.create(&whole).await, &whole)),
        ("client: path and body", ok(client.replace(&both).await, &both)),
        ("client: a field as the body", ok(client.update(&part).await.map(without_mask), &part)),
        ("client: a field of the response", ok(client.tags(&get).await, &tags)),
        (
            "client: bodies of any type",
            client.convert(&file).await.map_err(|status| status.to_string()).and_then(|answer| equal(&answer, &file)),
        ),
        ("client: a status", ended(client.fail(&failing).await, Code::FailedPrecondition, "as you wish")),
        (
            "client: a message that fits no rule",
            ended(client.get(Everything::default()).await, Code::InvalidArgument, "is not set"),
        ),
        (
            "client: a method without a rule",
            ended(client.hidden(Everything::default()).await, Code::Unimplemented, "no HTTP rule"),
        ),
        ("client: a stream that breaks", watch(&client).await),
        ("client: a stream of bytes", download(&client).await),
        ("client: many messages", import(&client).await),
    ])
}

async fn watch(client: &RestClient) -> Result<(), String> {
    let request = Everything { small: 3, code: 10, ..Everything::default() };
    let mut responses = client.watch(&request).await.map_err(|status| status.to_string())?;
    let mut seen = Vec::new();
    let end = loop {
        match responses.next().await {
            Ok(Some(response)) => seen.push(response.small),
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        }
    };
    equal(&seen, &vec![1, 2, 3])?;
    ended(end, Code::Aborted, "as you wish")
}

async fn download(client: &RestClient) -> Result<(), String> {
    let request = Everything { name: "files/x".to_owned(), ..Everything::default() };
    let mut pieces = client.download(&request).await.map_err(|status| status.to_string())?;
    let mut body = Vec::new();
    while let Some(piece) = pieces.next().await.map_err(|status| status.to_string())? {
        equal(&piece.content_type.as_str(), &"text/x-letters")?;
        body.extend_from_slice(&piece.data);
    }
    equal(&body.as_slice(), &request.name.as_bytes())
}

async fn import(client: &RestClient) -> Result<(), String> {
    let (mut requests, response) = client.import().await.map_err(|status| status.to_string())?;
    for name in ["a", "b\n", "c"] {
        let request = Everything { name: name.to_owned(), ..Everything::default() };
        requests.send(&request).await.map_err(|status| status.to_string())?;
    }
    requests.close();
    let response = response.await.map_err(|status| status.to_string())?;
    equal(&response.tags, &vec!["a".to_owned(), "b\n".to_owned(), "c".to_owned()])
}

fn equal<T: Debug + PartialEq>(seen: &T, wanted: &T) -> Result<(), String> {
    if seen == wanted { Ok(()) } else { Err(format!("{seen:?} came, not {wanted:?}")) }
}

fn ended<T: Debug>(result: Result<T, Status>, code: Code, part: &str) -> Result<(), String> {
    match result {
        Err(status) if status.code() == code && status.message().contains(part) => Ok(()),
        other => Err(format!("{other:?} came, not {code} with {part:?}")),
    }
}
