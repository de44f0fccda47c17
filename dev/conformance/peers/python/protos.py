"""The generated test messages, from the folder that INTEROP_PROTOS names.

The generated modules call themselves `grpc.testing`, so their folder joins the search path of the `grpc` package.
"""

import os
import sys

import grpc

FOLDER = os.environ["INTEROP_PROTOS"]
sys.path.insert(0, FOLDER)
grpc.__path__.append(os.path.join(FOLDER, "grpc"))

from grpc.testing import messages_pb2 as messages  # noqa: E402
from grpc.testing import test_pb2_grpc as services  # noqa: E402
from xds.data.orca.v3 import orca_load_report_pb2 as load_report  # noqa: E402

__all__ = ["load_report", "messages", "services"]


def flag(text):
    """A boolean as the test programs of all languages spell it."""
    return text.lower() in ("true", "1", "yes")
