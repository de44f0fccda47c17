//! The details of a status that tools know how to show: the messages of `google/rpc/error_details.proto`, as generated.
//!
//! ```
//! use polywire::{Status, error_details::{self, ErrorInfo, detail}};
//!
//! let info = ErrorInfo { reason: "SOLD_OUT".into(), domain: "orders.example.com".into(), ..Default::default() };
//! let status = Status::failed_precondition("there is none left").with_detail(detail(&info));
//! let found: Option<ErrorInfo> = error_details::find(&status);
//! assert_eq!(found, Some(info));
//! ```

use buffa::MessageName;
use polywire_core::{Detail, Status};

use crate::message::AnyMessage;

crate::include_proto!("google.rpc");

/// A message of any type as a detail.
pub fn detail<M: AnyMessage + MessageName>(message: &M) -> Detail {
    Detail { type_url: M::TYPE_URL.to_owned(), value: message.encode_to_bytes() }
}

/// The first detail of this type.
pub fn find<M: AnyMessage + MessageName>(status: &Status) -> Option<M> {
    let name = |detail: &Detail| detail.type_url.rsplit_once('/').is_some_and(|(_, name)| name == M::FULL_NAME);
    let detail = status.details().iter().find(|detail| name(detail))?;
    M::decode_from_slice(&detail.value).ok()
}
