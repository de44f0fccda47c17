//! A running shop, and clients of it over any wire.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use buffa::{Message, MessageName};
use orders::app::{App, Settings};
use orders::clock::Clock;
use orders::proto::orders::v1::{CreateOrderRequest, Order, OrdersClient, create_order_request};
use orders::proto::stock::v1::{GetItemRequest, Item, StockClient};
use orders::store::Database;
use polywire::{Call, Channel, Codec, Interceptor, Next, Reply, Server, ServerHandle, Status};

use super::postgres::Skipped;
use super::{Kind, TestDatabase};

/// One way in which a shop is called: what is spoken, how messages are written, and which database is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// What stands before the address in a channel's target.
    scheme: &'static str,
    codec: Codec,
    kind: Kind,
}

impl Wire {
    /// gRPC in this process, without a socket.
    pub const GRPC_IN_MEMORY: Self = Self::new("memory", Codec::Proto);

    /// JSON as `curl` sends it, by the rules of `google.api.http`.
    pub const REST: Self = Self::new("rest+http", Codec::Json);

    /// A way with a database in memory behind it.
    pub const fn new(scheme: &'static str, codec: Codec) -> Self {
        Self { scheme, codec, kind: Kind::SqliteMemory }
    }

    /// The same with another database.
    pub const fn on(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Serves, and makes a channel to it.
    async fn connect(self, server: Server) -> Connected {
        if self.scheme == "memory" {
            let handle = server.start().unwrap().handle();
            let channel = Channel::in_memory(&handle).codec(self.codec).build().unwrap();
            return Connected { channel, handle, address: None, directory: None };
        }
        let directory = self.scheme.ends_with("unix").then(|| tempfile::tempdir().unwrap());
        let (bound, target) = match &directory {
            Some(directory) => {
                let path = directory.path().join("shop").display().to_string();
                (server.bind(format!("unix:{path}")).await.unwrap(), format!("{}:{path}", self.scheme))
            }
            None => {
                let bound = server.bind("127.0.0.1:0").await.unwrap();
                let target = format!("{}://{}", self.scheme, bound.address().unwrap());
                (bound, target)
            }
        };
        let (handle, address) = (bound.handle(), bound.address());
        tokio::spawn(bound.serve());
        let channel = Channel::builder(target).unwrap().codec(self.codec).build().unwrap();
        Connected { channel, handle, address, directory }
    }
}

/// A server that serves, and a channel to it.
struct Connected {
    channel: Channel,
    handle: ServerHandle,
    address: Option<SocketAddr>,
    /// Where a socket lies that has a path.
    directory: Option<tempfile::TempDir>,
}

/// Remembers until when the calls that came had time. A call with the metadata `test-hold` gets no further than this.
#[derive(Debug, Default, Clone)]
pub struct Deadlines(Arc<Mutex<Vec<Option<Instant>>>>);

impl Deadlines {
    /// What is remembered, which is forgotten then.
    pub fn take(&self) -> Vec<Option<Instant>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Interceptor for Deadlines {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        self.0.lock().unwrap().push(call.deadline());
        if call.metadata().get("test-hold").is_some() {
            std::future::pending::<()>().await;
        }
        next.run(call).await
    }
}

/// A shop with its shelves filled, at a time that stands still, and clients of it.
pub struct TestShop {
    pub orders: OrdersClient,
    pub stock: StockClient,
    pub clock: Clock,
    pub app: App,
    pub server: ServerHandle,
    /// Where it listens, if that is an address.
    pub address: Option<SocketAddr>,
    pub deadlines: Deadlines,
    pub database: Database,
    _test: TestDatabase,
    _directory: Option<tempfile::TempDir>,
}

impl TestShop {
    /// Opens one, or says why its database cannot be had here.
    pub async fn open(wire: Wire) -> Result<Self, Skipped> {
        Self::open_with(wire, |_| {}).await
    }

    /// Opens one with other settings.
    pub async fn open_with(wire: Wire, change: impl FnOnce(&mut Settings)) -> Result<Self, Skipped> {
        // What the application logs is shown with a test that fails.
        drop(tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_test_writer().try_init());
        let mut test = TestDatabase::create(wire.kind).await?;
        if wire.kind == Kind::SqliteMemory {
            // The application opens its own; one in memory is not shared.
            test.database.close().await;
        }
        let mut settings = Settings::new(test.url.clone());
        change(&mut settings);
        let app = App::start(settings, test.clock.clone()).await.unwrap();
        if wire.kind == Kind::SqliteMemory {
            test.database = app.database().clone();
        }
        let deadlines = Deadlines::default();
        let connected = wire.connect(app.mount(Server::new().intercept(deadlines.clone()))).await;
        Ok(Self {
            orders: OrdersClient::new(connected.channel.clone()),
            stock: StockClient::new(connected.channel),
            clock: test.clock.clone(),
            database: test.database.clone(),
            app,
            server: connected.handle,
            address: connected.address,
            deadlines,
            _test: test,
            _directory: connected.directory,
        })
    }

    /// Places an order of some items.
    pub async fn place(&self, customer: &str, items: &[(&str, i32)]) -> Order {
        // Two orders of the same moment may sort either way.
        self.clock.advance(Duration::from_millis(1));
        self.orders.create(request(customer, items, "")).await.unwrap()
    }

    /// Looks at a shelf.
    pub async fn shelf(&self, item: &str) -> Item {
        self.stock.get_item(GetItemRequest { name: format!("items/{item}"), ..Default::default() }).await.unwrap()
    }
}

/// A request for an order of some items.
pub fn request(customer: &str, items: &[(&str, i32)], key: &str) -> CreateOrderRequest {
    let lines = items.iter().map(|&(item, quantity)| create_order_request::Line {
        item: format!("items/{item}"),
        quantity,
        ..Default::default()
    });
    CreateOrderRequest {
        customer: customer.to_owned(),
        lines: lines.collect(),
        idempotency_key: key.to_owned(),
        ..Default::default()
    }
}

/// The detail of a type that a status carries.
pub fn detail<M: Message + MessageName + Default>(status: &Status) -> M {
    let url = format!("type.googleapis.com/{}", M::FULL_NAME);
    let detail = status.details().iter().find(|detail| detail.type_url == url);
    let detail = detail.unwrap_or_else(|| panic!("{status:?} has no {url}"));
    M::decode_from_slice(&detail.value).unwrap()
}

/// Makes a test of each function for each wire; between them, the wires cover every database. A new wire is a new row here.
///
/// REST carries methods with a rule (`google.api.http`). Tests of those that have none, because they talk both ways or belong to
/// no shop, stand behind `without a rule:`.
macro_rules! on_every_wire {
    (@table $test:ident) => {
        super::support::shop::on_every_wire! { @rows $test
            connect_json_over_http1: Wire::new("connect+http", Codec::Json),
            connect_json_over_http2: Wire::new("connect+h2c", Codec::Json),
            connect_proto_over_http1: Wire::new("connect+http", Codec::Proto),
            connect_proto_over_http2: Wire::new("connect+h2c", Codec::Proto),
            grpc_in_memory: Wire::GRPC_IN_MEMORY,
            grpc_over_tcp_on_a_sqlite_file: Wire::new("http", Codec::Proto).on(Kind::SqliteFile),
            grpc_over_tcp_on_postgres: Wire::new("http", Codec::Proto).on(Kind::Postgres),
            grpc_web_over_http1: Wire::new("grpc-web+http", Codec::Proto),
            grpc_web_over_http2: Wire::new("grpc-web+h2c", Codec::Proto),
            native_over_tcp: Wire::new("native", Codec::Proto),
            native_over_unix: Wire::new("native+unix", Codec::Proto),
            websocket: Wire::new("ws", Codec::Proto),
        }
    };
    (@rest $test:ident) => {
        super::support::shop::on_every_wire! { @rows $test
            rest_over_http1: Wire::REST,
            rest_over_http2: Wire::new("rest+h2c", Codec::Json),
        }
    };
    (@rows $test:ident $($row:ident: $wire:expr,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $row() {
            match TestShop::open($wire).await {
                Ok(shop) => super::$test(shop).await,
                Err(skipped) => postgres::report(stringify!($test), &skipped),
            }
        }
    )*};
    (without a rule: $($test:ident),* $(,)?) => {$(
        mod $test {
            use polywire::Codec;

            use super::support::shop::{TestShop, Wire};
            use super::support::{Kind, postgres};

            super::support::shop::on_every_wire! { @table $test }
        }
    )*};
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            use polywire::Codec;

            use super::support::shop::{TestShop, Wire};
            use super::support::{Kind, postgres};

            super::support::shop::on_every_wire! { @table $test }
            super::support::shop::on_every_wire! { @rest $test }
        }
    )*};
}
pub(crate) use on_every_wire;
