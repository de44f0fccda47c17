//! Services with hard names are implemented and called like others.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use polywire::{Call, Channel, Receiver, Sender, Server, Status};
use polywire_generated::{
    Root, RootlessClient, RootlessServer, RootlessService,
    deep::r#type::r#match::{Deep, DeepView, DeeperClient, DeeperServer, DeeperService},
    names, root,
};

#[derive(Clone, Copy, Debug)]
struct Everything;

impl RootlessService for Everything {
    async fn r#do(&self, _: &mut Call, request: root::InnerView<'_>) -> Result<Deep, Status> {
        Ok(Deep { kind: request.kind, ..Deep::default() })
    }
}

impl DeeperService for Everything {
    async fn r#do(&self, _: &mut Call, request: DeepView<'_>) -> Result<Deep, Status> {
        Ok(Deep { kind: request.kind, ..Deep::default() })
    }
}

impl names::Status2Service for Everything {
    async fn status(&self, _: &mut Call, request: names::StatusView<'_>) -> Result<names::Status, Status> {
        if request.r#type == 5 {
            return Err(Status::not_found("five"));
        }
        Ok(names::Status { self_: request.self_.to_owned(), r#type: request.r#type + 1, ..names::Status::default() })
    }
}

impl names::ShopService for Everything {
    async fn r#type(&self, call: &mut Call, _: names::CallView<'_>) -> Result<names::Status, Status> {
        Ok(names::Status { self_: call.method().path().to_owned(), ..names::Status::default() })
    }

    async fn self_(&self, _: &mut Call, _: names::SenderView<'_>) -> Result<names::Receiver, Status> {
        Ok(names::Receiver::default())
    }

    async fn new(&self, _: &mut Call, _: names::ChannelView<'_>) -> Result<names::Method, Status> {
        Ok(names::Method::default())
    }

    async fn clone(&self, _: &mut Call, _: names::ResultView<'_>) -> Result<names::Option, Status> {
        Ok(names::Option::default())
    }

    async fn channel(&self, _: &mut Call, _: names::ChannelView<'_>) -> Result<names::ShopClient, Status> {
        Ok(names::ShopClient::default())
    }

    async fn find_foo(&self, _: &mut Call, _: names::StringView<'_>) -> Result<names::Vec, Status> {
        Ok(names::Vec::default())
    }

    async fn find_foo_(
        &self,
        _: &mut Call,
        _: names::__buffa::view::bytes::ViewView<'_>,
        mut responses: Sender<names::shop_methods::Inner>,
    ) -> Result<(), Status> {
        responses.send(names::shop_methods::Inner::default()).await
    }

    async fn send(&self, _: &mut Call, mut requests: Receiver<names::Send>) -> Result<names::Future, Status> {
        while requests.next().await?.is_some() {}
        Ok(names::Future::default())
    }

    async fn r#await(
        &self,
        _: &mut Call,
        mut requests: Receiver<names::Arc>,
        mut responses: Sender<names::Reply>,
    ) -> Result<(), Status> {
        while requests.next().await?.is_some() {
            responses.send(names::Reply::default()).await?;
        }
        Ok(())
    }

    async fn call(&self, _: &mut Call, _: names::BoxView<'_>) -> Result<names::Service, Status> {
        Ok(names::Service::default())
    }

    async fn generic(&self, _: &mut Call, request: names::S) -> Result<names::S, Status> {
        Ok(request)
    }
}

fn channel() -> Channel {
    let server = Server::new()
        .add(RootlessServer::new(Everything))
        .add(DeeperServer::new(std::sync::Arc::new(Everything)))
        .add(names::Status2Server::new(Everything))
        .add(names::ShopServer::new(Everything));
    let bound = server.start().unwrap();
    let handle = bound.handle();
    drop(tokio::spawn(bound.serve()));
    Channel::in_memory(&handle).build().unwrap()
}

#[tokio::test]
async fn a_service_without_a_package_is_called() {
    let request = root::Inner::default();
    assert_eq!(RootlessClient::new(channel()).r#do(request).await.unwrap(), Deep::default());
    assert_eq!(polywire_generated::rootless_methods::DO.path(), "/Rootless/Do");
    let _ = Root::default();
}

#[tokio::test]
async fn a_package_of_keywords_is_called_through_an_arc() {
    assert_eq!(DeeperClient::new(channel()).r#do(Deep::default()).await.unwrap(), Deep::default());
}

#[tokio::test]
async fn messages_may_be_named_like_the_words_of_a_call() {
    let client = names::Status2Client::new(channel());
    let request = |r#type| names::Status { self_: "me".to_owned(), r#type, ..names::Status::default() };
    assert_eq!(client.status(request(1)).await.unwrap(), request(2));
    assert_eq!(client.status(request(5)).await.unwrap_err(), Status::not_found("five"));
}

#[tokio::test]
async fn every_method_of_hard_names_is_reached() {
    // The message `ShopClient` was first.
    let client = names::ShopClient_::new(channel());
    assert_eq!(client.r#type(names::Call::default()).await.unwrap().self_, "/names.Shop/Type");
    let _ = client.self_(names::Sender::default()).await.unwrap();
    let _ = client.new_(names::Channel::default()).await.unwrap();
    let _ = client.clone(names::Result::default()).await.unwrap();
    let _ = client.channel_(names::Channel::default()).await.unwrap();
    let _ = client.find_foo(names::String::default()).await.unwrap();
    let mut responses = client.find_foo_(names::bytes::View::default()).await.unwrap();
    assert!(responses.next().await.unwrap().is_some());
    assert!(responses.next().await.unwrap().is_none());
    let (requests, response) = client.send().await.unwrap();
    drop(requests);
    let _ = response.await;
    let (mut requests, mut responses) = client.r#await().await.unwrap();
    requests.send(names::Arc::default()).await.unwrap();
    assert!(responses.next().await.unwrap().is_some());
    requests.close();
    assert!(responses.next().await.unwrap().is_none());
    let _ = client.call(names::Box::default()).await.unwrap();
    let _ = client.generic(names::S::default()).await.unwrap();
    assert_eq!(names::shop_methods_::METHODS.len(), 11);
}
