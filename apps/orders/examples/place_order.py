#!/usr/bin/env python3
"""Places an order and follows it, with nothing but grpcio and the .proto files.

    pip install grpcio grpcio-tools
    python3 apps/orders/examples/place_order.py [HOST:PORT]
"""

import pathlib
import sys
import uuid

import grpc

# grpcio-tools compiles .proto files when they are imported.
root = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(root / "proto"))
sys.path.append(str(root / "crates/proto/include"))  # google/api, which says how the methods are reached as REST
stock_pb2, stock_grpc = grpc.protos_and_services("stock/v1/stock.proto")
orders_pb2, orders_grpc = grpc.protos_and_services("orders/v1/orders.proto")


def main(address):
    with grpc.insecure_channel(address) as channel:
        stock = stock_grpc.StockStub(channel)
        orders = orders_grpc.OrdersStub(channel)

        for item in stock.ListItems(stock_pb2.ListItemsRequest(page_size=5), timeout=5).items:
            price = item.unit_price
            print(f"{item.title:<20} {price.units}.{price.nanos // 10_000_000:02} {price.currency_code}")

        # The key makes it safe to send again: it is the same order then.
        request = orders_pb2.CreateOrderRequest(
            customer="Ada",
            lines=[{"item": "items/flat-white", "quantity": 2, "note": "oat milk"}, {"item": "items/scone", "quantity": 1}],
            idempotency_key=str(uuid.uuid4()),
        )
        order = orders.Create(request, timeout=5)
        assert orders.Create(request, timeout=5) == order
        print(f"\nplaced {order.name}")

        try:
            orders.Complete(orders_pb2.CompleteOrderRequest(name=order.name), timeout=5)
        except grpc.RpcError as error:
            print(f"refused: {error.code().name}: {error.details()}")

        orders.Cancel(orders_pb2.CancelOrderRequest(name=order.name, reason="only a demonstration"), timeout=5)
        for event in orders.Watch(orders_pb2.WatchOrderRequest(name=order.name, after_sequence=0), timeout=5):
            print(f"event {event.sequence}: {orders_pb2.OrderStatus.Name(event.order.status)} {event.order.reason}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080")
