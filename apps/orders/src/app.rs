//! Putting the application together: databases, services, and what runs beside them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use polywire::health::{Health, HealthReporter, ServingStatus};
use polywire::{Channel, ChannelError, ListenError, Server, ServerHandle};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::feed::Feed;
use crate::page;
use crate::proto::orders::v1::OrdersServer;
use crate::proto::stock::v1::StockServer;
use crate::service::{CallLog, Shop, ShopSettings, StockCalls, Stockroom};
use crate::store::{Database, DatabaseUrl, OrderStore, StockStore, StoreError, catalogue};

/// The application, running. It answers calls once its services are [mounted](App::mount) on a server that serves.
#[derive(Debug)]
pub struct App {
    database: Database,
    shop: Shop,
    /// Absent if Stock is elsewhere.
    stockroom: Option<Stockroom>,
    feed: Feed,
    counters: Arc<Counters>,
    /// Whether the database answers.
    ready: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// The services' full names.
const ORDERS: &str = "orders.v1.Orders";
const STOCK: &str = "stock.v1.Stock";

/// What the application may be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where orders and goods are kept.
    pub database: DatabaseUrl,
    /// The channel to a Stock elsewhere; `None` to run one here.
    pub stock: Option<Channel>,
    /// How long a call to Stock may take.
    pub stock_timeout: Duration,
    /// What the shop may decide for itself.
    pub shop: ShopSettings,
    /// Whether to fill empty shelves with the catalogue.
    pub seed: bool,
    /// Streams that may follow orders at a time.
    pub followers_max: usize,
}

impl Settings {
    /// The defaults, with a database.
    pub fn new(database: DatabaseUrl) -> Self {
        Self {
            database,
            stock: None,
            stock_timeout: Duration::from_secs(2),
            shop: ShopSettings::default(),
            seed: true,
            followers_max: Feed::FOLLOWERS_MAX,
        }
    }
}

/// Why the application did not start.
#[derive(Debug)]
pub enum StartError {
    /// The channel to Stock could not be made.
    Channel(ChannelError),
    /// The server inside did not start.
    Listen(ListenError),
    /// The database could not be opened or brought up to date.
    Store(StoreError),
}

impl App {
    /// How often to look for reservations and orders whose time is over, and for what Stock could not be told.
    const LOOK_EVERY: Duration = Duration::from_secs(1);

    /// How often to ask the database whether it answers.
    const PING_EVERY: Duration = Duration::from_secs(5);

    /// How often to forget old idempotency keys.
    const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

    /// Opens the database and starts everything that runs without being called.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        let counters = Arc::new(Counters::new());
        let database = Database::open(&settings.database, clock.now()).await?;
        let mut tasks = JoinSet::new();

        let (stockroom, stock) = match settings.stock {
            Some(elsewhere) => (None, elsewhere),
            None => {
                let store = StockStore::new(database.clone());
                if settings.seed {
                    let new = store.stock(&catalogue(clock.now())).await?;
                    tracing::info!(new, "shelves filled");
                }
                let stockroom = Stockroom::new(store, clock.clone(), Arc::clone(&counters));
                tasks.spawn(look_after_stock(stockroom.clone(), clock.clone()));
                let channel = Channel::in_memory(&stock_inside(&stockroom)?).build()?;
                (Some(stockroom), channel)
            }
        };

        let store = OrderStore::new(database.clone()).await?;
        let feed = Feed::new(store.clone(), settings.followers_max);
        tasks.spawn(feed.clone().run(clock.clone()));
        let stock = StockCalls::new(stock, settings.stock_timeout, Arc::clone(&counters));
        let shop = Shop::new(store, stock, feed.clone(), clock.clone(), Arc::clone(&counters), settings.shop);
        tasks.spawn(look_after_orders(shop.clone(), clock.clone()));
        tasks.spawn(look_after_keys(shop.clone(), clock.clone()));
        let ready = watch::Sender::new(true);
        tasks.spawn(look_after_readiness(database.clone(), ready.clone(), clock));
        Ok(Self { database, shop, stockroom, feed, counters, ready, tasks })
    }

    /// Adds the services to a server, with health and reflection, around all of them a log of calls, and beside them the page and
    /// what is counted.
    ///
    /// Both services are `SERVING` as long as the database answers. That Stock is out of reach does not make Orders unhealthy:
    /// most of what it does goes on without.
    pub fn mount(&self, server: Server) -> Server {
        let (health, reporter) = Health::new();
        let mut names = vec![ORDERS];
        let mut server =
            server.intercept(CallLog::new(Arc::clone(&self.counters))).add(OrdersServer::new(self.shop.clone()));
        if let Some(stockroom) = &self.stockroom {
            server = server.add(StockServer::new(stockroom.clone()));
            names.push(STOCK);
        }
        let mut ready = self.ready.subscribe();
        set_health(&reporter, &names, *ready.borrow_and_update());
        tokio::spawn(report(ready, reporter, names));
        let counters = Arc::clone(&self.counters);
        let server = server.add(health).with_reflection().with_openapi();
        page::mount(server.with_metrics(move || counters.expose()))
    }

    /// Ends the streams that would never end by themselves, so that a server can drain.
    pub fn hang_up(&self) {
        self.feed.close();
    }

    /// Stops what runs beside the services and closes the database. The server must have ended before.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.database.close().await;
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Where everything is kept.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The service Orders, to do by hand what runs by itself otherwise.
    pub fn shop(&self) -> &Shop {
        &self.shop
    }
}

/// A server without a socket for Stock alone: Orders calls it as it would call one elsewhere.
fn stock_inside(stockroom: &Stockroom) -> Result<ServerHandle, ListenError> {
    Ok(Server::new().add(StockServer::new(stockroom.clone())).start()?.handle())
}

async fn look_after_stock(stockroom: Stockroom, clock: Clock) {
    loop {
        clock.sleep(App::LOOK_EVERY).await;
        match stockroom.expire_due().await {
            Ok(0) => {}
            Ok(expired) => tracing::info!(expired, "reservations expired"),
            Err(error) => tracing::warn!(%error, "reservations could not be expired; trying again"),
        }
    }
}

async fn look_after_orders(shop: Shop, clock: Clock) {
    loop {
        clock.sleep(App::LOOK_EVERY).await;
        match shop.expire_overdue().await {
            Ok(0) => {}
            Ok(expired) => tracing::info!(expired, "orders expired"),
            Err(error) => tracing::warn!(%error, "orders could not be expired; trying again"),
        }
        if let Err(error) = shop.settle_all().await {
            tracing::warn!(%error, "settlements could not be looked up; trying again");
        }
    }
}

async fn look_after_readiness(database: Database, ready: watch::Sender<bool>, clock: Clock) {
    loop {
        clock.sleep(App::PING_EVERY).await;
        let answer = database.ping().await;
        let changed = ready.send_if_modified(|ready| std::mem::replace(ready, answer.is_ok()) != answer.is_ok());
        match answer {
            Ok(()) if changed => tracing::info!("the database answers again"),
            Err(error) if changed => tracing::error!(%error, "the database does not answer"),
            _ => {}
        }
    }
}

/// Keeps telling those who ask for the health of some services whether they are ready, until the application ends.
async fn report(mut ready: watch::Receiver<bool>, reporter: HealthReporter, names: Vec<&'static str>) {
    while ready.changed().await.is_ok() {
        set_health(&reporter, &names, *ready.borrow_and_update());
    }
}

/// Sets the health of the server as a whole and of some services.
fn set_health(reporter: &HealthReporter, names: &[&'static str], ready: bool) {
    let status = if ready { ServingStatus::SERVING } else { ServingStatus::NOT_SERVING };
    for name in std::iter::once("").chain(names.iter().copied()) {
        reporter.set(name, status);
    }
}

async fn look_after_keys(shop: Shop, clock: Clock) {
    loop {
        match shop.forget_keys().await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "old idempotency keys forgotten"),
            Err(error) => tracing::warn!(%error, "old idempotency keys could not be forgotten; trying again"),
        }
        clock.sleep(App::FORGET_EVERY).await;
    }
}

impl From<ChannelError> for StartError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ListenError> for StartError {
    fn from(error: ListenError) -> Self {
        Self::Listen(error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}
