"""Money between protobuf and the domain."""

from chassis.money import Money
from touchstone.common.v1 import common_pb2


def money_to_proto(money: Money) -> common_pb2.Money:
    """An amount in minor units with its currency."""
    return common_pb2.Money(minor_units=money.minor_units, currency=money.currency)


def money_from_proto(field: str, money: common_pb2.Money) -> Money:
    """An amount of more than 0, or InvalidArgument naming the field."""
    return Money(money.minor_units, money.currency).positive(field)
