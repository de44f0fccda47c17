//! The test service behind the cases: it says back what it was asked.

use conformance::{
    google::api::HttpBody,
    polywire::test::v1::{Everything, RestService},
};
use polywire::{Call, Code, Receiver, Sender, Status, well_known::Empty};

pub(super) struct Echo;

/// Says which method it was, so that a case can tell.
fn seen(call: &mut Call) {
    let name = call.method().name().to_owned();
    call.append_leading("x-method", &name).expect("the name of a method is ASCII");
}

fn echo(call: &mut Call, request: Everything) -> Result<Everything, Status> {
    seen(call);
    let leading: Vec<_> =
        ["x-say", "last-event-id"].into_iter().filter_map(|key| call.metadata().get(key)).map(str::to_owned).collect();
    for value in leading {
        call.append_leading("x-said", &value).map_err(|error| Status::invalid_argument(error.to_string()))?;
    }
    Ok(request)
}

fn status(code: u32) -> Status {
    Status::new(Code::from_number(code), "as you wish")
}

impl RestService for Echo {
    async fn get(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn find(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn deep(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn typed(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn create(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn update(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn replace(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn remove(&self, call: &mut Call, _request: Everything) -> Result<Empty, Status> {
        seen(call);
        Ok(Empty::default())
    }

    async fn archive(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn any_verb(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn purge(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn tags(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn fail(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        seen(call);
        Err(status(request.code))
    }

    async fn watch(
        &self,
        call: &mut Call,
        request: Everything,
        mut responses: Sender<Everything>,
    ) -> Result<(), Status> {
        seen(call);
        for number in 1..=request.small {
            responses.send(&Everything { small: number, ..Everything::default() }).await?;
        }
        if request.code == 0 { Ok(()) } else { Err(status(request.code)) }
    }

    async fn import(&self, call: &mut Call, mut requests: Receiver<Everything>) -> Result<Everything, Status> {
        seen(call);
        let mut all = Everything::default();
        while let Some(request) = requests.next().await? {
            all.tags.push(request.name);
        }
        Ok(all)
    }

    async fn chat(
        &self,
        call: &mut Call,
        mut requests: Receiver<Everything>,
        mut responses: Sender<Everything>,
    ) -> Result<(), Status> {
        seen(call);
        while let Some(request) = requests.next().await? {
            responses.send(&request).await?;
        }
        Ok(())
    }

    async fn upload(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }

    async fn convert(&self, call: &mut Call, request: HttpBody) -> Result<HttpBody, Status> {
        seen(call);
        Ok(request)
    }

    async fn download(
        &self,
        call: &mut Call,
        request: Everything,
        mut responses: Sender<HttpBody>,
    ) -> Result<(), Status> {
        seen(call);
        for letter in request.name.bytes() {
            let content_type = "text/x-letters".to_owned();
            responses.send(&HttpBody { content_type, data: vec![letter].into(), ..HttpBody::default() }).await?;
        }
        Ok(())
    }

    async fn hidden(&self, call: &mut Call, request: Everything) -> Result<Everything, Status> {
        echo(call, request)
    }
}
