//! A running shop, and clients of it over any wire.

use std::net::SocketAddr;
use std::time::Duration;

use buffa::{Message, MessageName};
use orders::app::{App, Settings};
use orders::clock::Clock;
use orders::proto::orders::v1::{CreateOrderRequest, Order, OrdersClient, create_order_request};
use orders::proto::stock::v1::{GetItemRequest, Item, StockClient};
use orders::store::Database;
use polywire::{Channel, Codec, Server, ServerHandle, Status};

use super::postgres::Skipped;
use super::{Kind, TestDatabase};

/// The ways in which every handler is called. A new wire is a new row here and in `on_every_wire`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Connect with JSON over HTTP/1.1.
    ConnectOverHttp1,
    /// Connect with Protobuf over HTTP/2.
    ConnectOverHttp2,
    /// gRPC in this process, without a socket.
    GrpcInMemory,
    /// gRPC over TCP.
    GrpcOverTcp,
    /// gRPC-Web over HTTP/1.1.
    GrpcWebOverHttp1,
    /// polywire's own frames over TCP.
    Native,
    /// polywire's own frames in WebSocket messages.
    WebSocket,
}

impl Wire {
    /// The channel to a server that listens.
    fn channel(self, address: SocketAddr) -> Channel {
        let (scheme, codec) = match self {
            Self::ConnectOverHttp1 => ("connect+http", Codec::Json),
            Self::ConnectOverHttp2 => ("connect+h2c", Codec::Proto),
            Self::GrpcInMemory | Self::GrpcOverTcp => ("http", Codec::Proto),
            Self::GrpcWebOverHttp1 => ("grpc-web+http", Codec::Proto),
            Self::Native => ("native", Codec::Proto),
            Self::WebSocket => ("ws", Codec::Proto),
        };
        Channel::builder(format!("{scheme}://{address}")).unwrap().codec(codec).build().unwrap()
    }
}

/// A shop with its shelves filled, at a time that stands still, and clients of it.
pub struct TestShop {
    pub orders: OrdersClient,
    pub stock: StockClient,
    pub clock: Clock,
    pub app: App,
    pub server: ServerHandle,
    pub database: Database,
    _test: TestDatabase,
}

impl TestShop {
    /// Opens one, or says why its database cannot be had here.
    pub async fn open(kind: Kind, wire: Wire) -> Result<Self, Skipped> {
        Self::open_with(kind, wire, |_| {}).await
    }

    /// Opens one with other settings.
    pub async fn open_with(kind: Kind, wire: Wire, change: impl FnOnce(&mut Settings)) -> Result<Self, Skipped> {
        // What the application logs is shown with a test that fails.
        drop(tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_test_writer().try_init());
        let mut test = TestDatabase::create(kind).await?;
        if kind == Kind::SqliteMemory {
            // The application opens its own; one in memory is not shared.
            test.database.close().await;
        }
        let mut settings = Settings::new(test.url.clone());
        change(&mut settings);
        let app = App::start(settings, test.clock.clone()).await.unwrap();
        if kind == Kind::SqliteMemory {
            test.database = app.database().clone();
        }
        let server = app.mount(Server::new());
        let (channel, handle) = match wire {
            Wire::GrpcInMemory => {
                let bound = server.start().unwrap();
                (Channel::in_memory(&bound.handle()).build().unwrap(), bound.handle())
            }
            over_a_socket => {
                let bound = server.bind("127.0.0.1:0").await.unwrap();
                let (address, handle) = (bound.address().unwrap(), bound.handle());
                tokio::spawn(bound.serve());
                (over_a_socket.channel(address), handle)
            }
        };
        Ok(Self {
            orders: OrdersClient::new(channel.clone()),
            stock: StockClient::new(channel),
            clock: test.clock.clone(),
            database: test.database.clone(),
            app,
            server: handle,
            _test: test,
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

/// Makes a test of each function for each wire; between them, the wires cover every database.
macro_rules! on_every_wire {
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            use super::support::shop::{TestShop, Wire};
            use super::support::{Kind, postgres};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn connect_over_http1() {
                super::$test(TestShop::open(Kind::SqliteMemory, Wire::ConnectOverHttp1).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn connect_over_http2() {
                super::$test(TestShop::open(Kind::SqliteMemory, Wire::ConnectOverHttp2).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn grpc_web_over_http1() {
                super::$test(TestShop::open(Kind::SqliteMemory, Wire::GrpcWebOverHttp1).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn native() {
                super::$test(TestShop::open(Kind::SqliteMemory, Wire::Native).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn websocket() {
                super::$test(TestShop::open(Kind::SqliteMemory, Wire::WebSocket).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn grpc_in_memory_on_sqlite_in_memory() {
                super::$test(TestShop::open(Kind::SqliteMemory, Wire::GrpcInMemory).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn grpc_over_tcp_on_a_sqlite_file() {
                super::$test(TestShop::open(Kind::SqliteFile, Wire::GrpcOverTcp).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn grpc_over_tcp_on_postgres() {
                match TestShop::open(Kind::Postgres, Wire::GrpcOverTcp).await {
                    Ok(shop) => super::$test(shop).await,
                    Err(skipped) => postgres::report(stringify!($test), &skipped),
                }
            }
        }
    )*};
}
pub(crate) use on_every_wire;
