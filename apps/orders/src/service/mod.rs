//! The handlers: from messages to the domain and back.
//!
//! Each service is a type with an `impl` of the trait that its `.proto` file became. This layer is the only one that knows
//! how a call ends: `status` turns what the domain and the stores refuse into codes, messages and details.

mod call_log;
mod convert;
mod import;
mod kitchen;
mod place;
mod settle;
mod shop;
mod status;
mod stock_calls;
mod stockroom;
mod watch;

pub use call_log::CallLog;
pub use shop::{Shop, ShopSettings};
pub use stock_calls::StockCalls;
pub use stockroom::Stockroom;
