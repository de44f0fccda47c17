//! How calls end: what the domain and the stores refuse, as codes, messages for people and details for programs.
//!
//! The details are those of `google/rpc/error_details.proto`, which tools know how to show:
//!
//! | refusal | code | details |
//! |---|---|---|
//! | a field breaks a rule | INVALID_ARGUMENT | `BadRequest`, every violation |
//! | no such order, item, reservation | NOT_FOUND | `ResourceInfo` |
//! | an idempotency key or a reservation's id was used for something else | ALREADY_EXISTS | `ErrorInfo`, `ResourceInfo` |
//! | the status of an order does not allow it | FAILED_PRECONDITION | `PreconditionFailure`, `ErrorInfo` |
//! | there is not enough of something | FAILED_PRECONDITION | `PreconditionFailure`, every line that is short |
//! | too many follow | RESOURCE_EXHAUSTED | `RetryInfo` |
//! | a sequence number that has not come yet | OUT_OF_RANGE | `BadRequest` |
//! | the database or Stock is out of reach | UNAVAILABLE | `RetryInfo` |
//! | the database is broken | INTERNAL | none; what it said is in our log |

use std::time::Duration;

use buffa::Message;
use polywire::{Detail, Status};

use crate::domain::{Invalid, Item, OrderId, PriceError, Refused, ReservationId, ReservationState, Shortage};
use crate::feed::FollowError;
use crate::proto::google::rpc::{
    BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo, bad_request, precondition_failure,
};
use crate::store::{ActError, AdjustError, ReserveError, SettleError, StoreError};

/// Who says so, in `ErrorInfo`.
const DOMAIN: &str = "orders.polywire";

/// How soon it is worth trying again when something was out of reach.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        let message = invalid.to_string();
        let violations = invalid.violations.into_iter().map(|violation| bad_request::FieldViolation {
            field: violation.field,
            description: violation.description,
            ..Default::default()
        });
        let details = BadRequest { field_violations: violations.collect(), ..Default::default() };
        Self::invalid_argument(message).with_detail(detail(BadRequest::TYPE_URL, &details))
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a call failed because of the database");
        if error.is_unavailable() {
            unavailable("the database is not available; try again")
        } else {
            Self::internal("the database failed")
        }
    }
}

impl From<FollowError> for Status {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Closed => unavailable("the server is about to end; try again"),
            FollowError::Full => Self::resource_exhausted("too many follow orders at the moment; try again later")
                .with_detail(retry_info(RETRY_AFTER)),
        }
    }
}

/// Something is out of reach at the moment.
pub(super) fn unavailable(message: impl Into<String>) -> Status {
    Status::unavailable(message.into()).with_detail(retry_info(RETRY_AFTER))
}

/// There is no resource of that type and name.
pub(super) fn not_found(resource_type: &str, name: &str) -> Status {
    let info = resource_info(resource_type, name, "");
    Status::not_found(format!("there is no {name}")).with_detail(info)
}

/// The idempotency key means another order already.
pub(super) fn order_key_reused(order: &OrderId, differs: &[&str]) -> Status {
    let fields = differs.join(", ");
    Status::already_exists(format!(
        "the idempotency key was used for {order}, with other values of: {fields}; use a new key for a new order"
    ))
    .with_detail(error_info("IDEMPOTENCY_KEY_REUSED", &[("order", &order.name()), ("fields", &fields)]))
    .with_detail(resource_info("orders.v1.Order", &order.name(), "made with this idempotency key"))
}

/// A sequence number that no event has yet.
pub(super) fn sequence_not_reached(after: i64, head: i64) -> Status {
    let description = format!("the last event has the number {head}, not yet {after}");
    let violation = bad_request::FieldViolation {
        field: "after_sequence".to_owned(),
        description: description.clone(),
        ..Default::default()
    };
    let details = BadRequest { field_violations: vec![violation], ..Default::default() };
    Status::out_of_range(format!("{description}; was the database replaced? list the orders and begin again"))
        .with_detail(detail(BadRequest::TYPE_URL, &details))
}

/// The goods are reserved but cannot be sold together.
pub(super) fn not_priced(error: &PriceError) -> Status {
    Status::failed_precondition(format!("the order cannot be priced: {error}"))
}

/// Why an order could not be changed.
pub(super) fn not_acted(order: &OrderId, error: ActError) -> Status {
    let name = order.name();
    match error {
        ActError::NotFound => not_found("orders.v1.Order", &name),
        ActError::Refused(refused) => refused_action(&name, refused),
        ActError::HoldOver => precondition(
            "the goods of the order are held no longer".to_owned(),
            [("ORDER_HOLD", name.clone(), "its goods are held no longer".to_owned())],
        )
        .with_detail(error_info("ORDER_HOLD_OVER", &[("order", &name)])),
        ActError::OtherKitchen(kitchen) => {
            let message = format!("the order was accepted by another kitchen: {kitchen}");
            precondition(message.clone(), [("ORDER_KITCHEN", name.clone(), message)])
                .with_detail(error_info("ORDER_OF_ANOTHER_KITCHEN", &[("order", &name), ("kitchen", kitchen.as_str())]))
        }
        ActError::Store(error) => error.into(),
    }
}

fn refused_action(name: &str, refused: Refused) -> Status {
    let (status, action) = (refused.status.as_str(), refused.action.as_str());
    precondition(refused.to_string(), [("ORDER_STATUS", name.to_owned(), format!("it is {status}"))]).with_detail(
        error_info("ORDER_STATUS_REFUSES_ACTION", &[("order", name), ("status", status), ("action", action)]),
    )
}

/// Why goods could not be reserved.
pub(super) fn not_reserved(reservation: &ReservationId, error: ReserveError) -> Status {
    match error {
        ReserveError::Short(short) => {
            let lines: Vec<_> = short.iter().map(Shortage::to_string).collect();
            let violations = short.iter().zip(&lines).map(|(short, line)| {
                let kind = if short.available.is_some() { "STOCK_SHORT" } else { "STOCK_UNKNOWN" };
                (kind, short.item.name(), line.clone())
            });
            precondition(format!("not everything is there: {}", lines.join("; ")), violations)
        }
        ReserveError::IdReused => Status::already_exists(format!("{reservation} is for other goods; use a new id"))
            .with_detail(error_info("RESERVATION_ID_REUSED", &[("reservation", &reservation.name())]))
            .with_detail(resource_info("stock.v1.Reservation", &reservation.name(), "made with this id")),
        ReserveError::Released => settled(reservation, ReservationState::Released),
        ReserveError::Store(error) => error.into(),
    }
}

/// Why a reservation could not be committed or released.
pub(super) fn not_settled(reservation: &ReservationId, error: SettleError) -> Status {
    match error {
        SettleError::NotFound => not_found("stock.v1.Reservation", &reservation.name()),
        SettleError::Settled(state) => settled(reservation, state),
        SettleError::Store(error) => error.into(),
    }
}

fn settled(reservation: &ReservationId, state: ReservationState) -> Status {
    let (name, state) = (reservation.name(), state.as_str());
    precondition(format!("{name} was {state} before"), [("RESERVATION_STATE", name.clone(), format!("it is {state}"))])
        .with_detail(error_info("RESERVATION_SETTLED", &[("reservation", &name), ("state", state)]))
}

/// Why a shelf could not be adjusted.
pub(super) fn not_adjusted(item: &str, error: AdjustError) -> Status {
    match error {
        AdjustError::NotFound => not_found("stock.v1.Item", item),
        AdjustError::Reserved(item) => {
            let Item { on_hand, reserved, .. } = *item;
            let message = format!("{on_hand} are on the shelf and {reserved} of them are reserved");
            precondition(message.clone(), [("STOCK_RESERVED", item.id.name(), message)])
        }
        AdjustError::KeyReused => {
            Status::already_exists("the idempotency key was used for another adjustment; use a new one")
                .with_detail(error_info("IDEMPOTENCY_KEY_REUSED", &[("item", item)]))
        }
        AdjustError::Store(error) => error.into(),
    }
}

fn precondition<'a>(message: String, violations: impl IntoIterator<Item = (&'a str, String, String)>) -> Status {
    let violations = violations.into_iter().map(|(kind, subject, description)| precondition_failure::Violation {
        r#type: kind.to_owned(),
        subject,
        description,
        ..Default::default()
    });
    let details = PreconditionFailure { violations: violations.collect(), ..Default::default() };
    Status::failed_precondition(message).with_detail(detail(PreconditionFailure::TYPE_URL, &details))
}

fn error_info(reason: &str, metadata: &[(&str, &str)]) -> Detail {
    let metadata = metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    let info = ErrorInfo {
        reason: reason.to_owned(),
        domain: DOMAIN.to_owned(),
        metadata: metadata.collect(),
        ..Default::default()
    };
    detail(ErrorInfo::TYPE_URL, &info)
}

fn resource_info(resource_type: &str, name: &str, description: &str) -> Detail {
    let info = ResourceInfo {
        resource_type: resource_type.to_owned(),
        resource_name: name.to_owned(),
        description: description.to_owned(),
        ..Default::default()
    };
    detail(ResourceInfo::TYPE_URL, &info)
}

fn retry_info(after: Duration) -> Detail {
    let info =
        RetryInfo { retry_delay: buffa_types::google::protobuf::Duration::from(after).into(), ..Default::default() };
    detail(RetryInfo::TYPE_URL, &info)
}

fn detail(type_url: &str, message: &impl Message) -> Detail {
    Detail { type_url: type_url.to_owned(), value: message.encode_to_bytes() }
}
