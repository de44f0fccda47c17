//! From the domain to messages, and what of messages needs more than reading a field.

use std::collections::BTreeSet;
use std::time::Duration;

use buffa::EnumValue;
use buffa_types::google::protobuf;

use crate::domain::{
    Currency, Invalid, Item, ItemId, Line, Money, Order, OrderEvent, OrderFilter, Quantity, Reservation, ReservationId,
    ReservationLine, ReservationState, Status, Text, Timestamp,
};
use crate::proto::{money, orders::v1 as orders, stock::v1 as stock};

pub(super) fn order(order: &Order) -> orders::Order {
    orders::Order {
        name: order.id.name(),
        customer: order.customer.as_str().to_owned(),
        status: status(order.status).into(),
        lines: order.lines.iter().map(line).collect(),
        total: money(order.total).into(),
        note: order.note.as_str().to_owned(),
        create_time: timestamp(order.created_at).into(),
        update_time: timestamp(order.updated_at).into(),
        hold_time: timestamp(order.hold_until).into(),
        kitchen: order.kitchen.as_ref().map(Text::to_string).unwrap_or_default(),
        expect_time: order.expected_at.map(timestamp).into(),
        reason: order.reason.as_str().to_owned(),
        sequence: order.sequence,
        ..Default::default()
    }
}

fn line(line: &Line) -> orders::OrderLine {
    orders::OrderLine {
        item: line.item.name(),
        title: line.title.clone(),
        quantity: quantity(line.quantity),
        unit_price: money(line.unit_price).into(),
        note: line.note.as_str().to_owned(),
        ..Default::default()
    }
}

pub(super) fn event(event: &OrderEvent) -> orders::OrderEvent {
    orders::OrderEvent {
        sequence: event.order.sequence,
        time: timestamp(event.order.updated_at).into(),
        previous_status: event.previous.map(status).unwrap_or_default().into(),
        order: order(&event.order).into(),
        ..Default::default()
    }
}

pub(super) fn ticket(order: &Order, accepted: bool) -> orders::KitchenTicket {
    orders::KitchenTicket {
        order: order.id.name(),
        customer: order.customer.as_str().to_owned(),
        lines: order
            .lines
            .iter()
            .map(|line| orders::kitchen_ticket::Line {
                title: line.title.clone(),
                quantity: quantity(line.quantity),
                note: line.note.as_str().to_owned(),
                ..Default::default()
            })
            .collect(),
        note: order.note.as_str().to_owned(),
        create_time: timestamp(order.created_at).into(),
        hold_time: timestamp(order.hold_until).into(),
        accepted,
        ..Default::default()
    }
}

pub(super) fn status(status: Status) -> orders::OrderStatus {
    match status {
        Status::Confirmed => orders::OrderStatus::CONFIRMED,
        Status::Preparing => orders::OrderStatus::PREPARING,
        Status::Ready => orders::OrderStatus::READY,
        Status::Completed => orders::OrderStatus::COMPLETED,
        Status::Cancelled => orders::OrderStatus::CANCELLED,
        Status::Expired => orders::OrderStatus::EXPIRED,
    }
}

pub(super) fn filter(filter: &orders::OrderFilterView<'_>) -> Result<OrderFilter, Invalid> {
    let mut statuses = BTreeSet::new();
    for (index, wanted) in filter.statuses.iter().enumerate() {
        let known = Status::ALL.into_iter().find(|&known| EnumValue::from(status(known)) == *wanted);
        statuses.insert(known.ok_or_else(|| {
            Invalid::field(format!("filter.statuses[{index}]"), format!("no status has the number {}", wanted.to_i32()))
        })?);
    }
    let customer = Text::new("filter.customer", filter.customer, 100)?;
    Ok(OrderFilter {
        statuses,
        customer: (!customer.as_str().is_empty()).then_some(customer),
        created_from: filter
            .create_time_from
            .as_option()
            .map(|time| moment("filter.create_time_from", time.seconds, time.nanos))
            .transpose()?,
        created_until: filter
            .create_time_until
            .as_option()
            .map(|time| moment("filter.create_time_until", time.seconds, time.nanos))
            .transpose()?,
    })
}

pub(super) fn item(item: &Item) -> stock::Item {
    stock::Item {
        name: item.id.name(),
        title: item.title.clone(),
        unit_price: money(item.unit_price).into(),
        on_hand: item.on_hand,
        reserved: item.reserved,
        available: item.available(),
        update_time: timestamp(item.updated_at).into(),
        ..Default::default()
    }
}

pub(super) fn reservation(reservation: &Reservation) -> stock::Reservation {
    stock::Reservation {
        name: reservation.id.name(),
        state: state(reservation.state).into(),
        lines: reservation
            .lines
            .iter()
            .map(|line| stock::ReservationLine {
                item: line.item.name(),
                quantity: quantity(line.quantity),
                title: line.title.clone(),
                unit_price: money(line.unit_price).into(),
                ..Default::default()
            })
            .collect(),
        create_time: timestamp(reservation.created_at).into(),
        expire_time: timestamp(reservation.expires_at).into(),
        ..Default::default()
    }
}

/// Reads a reservation that Stock has answered with. It may be another Stock than ours, so it is checked like a request.
pub(super) fn read_reservation(answer: &stock::Reservation) -> Result<Reservation, Invalid> {
    let state = ReservationState::ALL.into_iter().find(|&known| EnumValue::from(state(known)) == answer.state);
    let lines = answer.lines.iter().map(|line| {
        let price = &*line.unit_price;
        let price = Currency::new(&price.currency_code)
            .and_then(|currency| Money::from_parts(currency, price.units, price.nanos))
            .map_err(|error| Invalid::field("lines.unit_price", error.to_string()))?;
        Ok(ReservationLine {
            item: ItemId::from_name("lines.item", &line.item)?,
            quantity: Quantity::new("lines.quantity", line.quantity.into(), Quantity::RESERVATION_LINE_MAX)?,
            title: line.title.clone(),
            unit_price: price,
        })
    });
    Ok(Reservation {
        id: ReservationId::from_name("name", &answer.name)?,
        state: state.ok_or_else(|| Invalid::field("state", "not a state"))?,
        lines: lines.collect::<Result<_, Invalid>>()?,
        created_at: moment("create_time", answer.create_time.seconds, answer.create_time.nanos)?,
        expires_at: moment("expire_time", answer.expire_time.seconds, answer.expire_time.nanos)?,
    })
}

fn state(state: ReservationState) -> stock::reservation::State {
    match state {
        ReservationState::Held => stock::reservation::State::HELD,
        ReservationState::Committed => stock::reservation::State::COMMITTED,
        ReservationState::Released => stock::reservation::State::RELEASED,
        ReservationState::Expired => stock::reservation::State::EXPIRED,
    }
}

pub(super) fn money(money: Money) -> money::v1::Money {
    let (units, nanos) = money.to_parts();
    money::v1::Money { currency_code: money.currency().to_string(), units, nanos, ..Default::default() }
}

fn timestamp(time: Timestamp) -> protobuf::Timestamp {
    let (seconds, nanos) = time.to_parts();
    protobuf::Timestamp { seconds, nanos, ..Default::default() }
}

pub(super) fn moment(field: &str, seconds: i64, nanos: i32) -> Result<Timestamp, Invalid> {
    Timestamp::from_parts(seconds, nanos)
        .ok_or_else(|| Invalid::field(field, "not a moment between the years 1 and 9999"))
}

/// Reads a `google.protobuf.Duration`, which may not be negative here.
pub(super) fn length(field: &str, seconds: i64, nanos: i32) -> Result<Duration, Invalid> {
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
        _ => Err(Invalid::field(field, "not a length of time, or a negative one")),
    }
}

/// Quantities are bounded far below what the field holds.
pub(super) fn quantity(quantity: Quantity) -> i32 {
    i32::try_from(quantity.get()).unwrap_or(i32::MAX)
}
