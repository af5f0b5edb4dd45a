"""Touchpoints and the policy of contacts between protobuf and the domain."""

from typing import assert_never

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from touchstone.touchpoint.v1 import touchpoint_pb2 as pb

from touchpoint.domain.identity import TouchpointCode
from touchpoint.domain.policy import ContactPolicy
from touchpoint.domain.touchpoint import Touchpoint, TouchpointClass

_CLASSES = {
    pb.TOUCHPOINT_CLASS_ASSISTED: TouchpointClass.ASSISTED,
    pb.TOUCHPOINT_CLASS_SELF_SERVICE: TouchpointClass.SELF_SERVICE,
    pb.TOUCHPOINT_CLASS_OUTBOUND: TouchpointClass.OUTBOUND,
    pb.TOUCHPOINT_CLASS_SCENE: TouchpointClass.SCENE,
}


def touchpoint_from_proto(message: pb.Touchpoint) -> Touchpoint:
    """The touchpoint, or InvalidArgument naming the fields that are wrong."""
    code = check_id("touchpoint.code", message.code)
    if message.touchpoint_class not in _CLASSES:
        raise InvalidArgument("touchpoint.touchpoint_class", "must be one of the known classes")
    return Touchpoint(
        code=TouchpointCode(code),
        touchpoint_id=message.touchpoint_id,
        touchpoint_class=_CLASSES[message.touchpoint_class],
        name_en=message.name_en,
        name_zh=message.name_zh,
        inbound=message.inbound,
        outbound=message.outbound,
        delivery_ways=tuple(message.delivery_ways),
        preferred_way=message.preferred_way,
    )


def touchpoint_to_proto(touchpoint: Touchpoint) -> pb.Touchpoint:
    """The touchpoint."""
    return pb.Touchpoint(
        code=touchpoint.code,
        touchpoint_id=touchpoint.touchpoint_id,
        touchpoint_class=_class_to_proto(touchpoint.touchpoint_class),
        name_en=touchpoint.name_en,
        name_zh=touchpoint.name_zh,
        inbound=touchpoint.inbound,
        outbound=touchpoint.outbound,
        delivery_ways=touchpoint.delivery_ways,
        preferred_way=touchpoint.preferred_way,
    )


def policy_from_proto(message: pb.ContactPolicy) -> ContactPolicy:
    """The policy, or InvalidArgument naming the fields that are wrong."""
    return ContactPolicy(message.contacts_max, message.window_days, message.cool_off_days)


def policy_to_proto(policy: ContactPolicy) -> pb.ContactPolicy:
    """The policy."""
    return pb.ContactPolicy(
        contacts_max=policy.contacts_max, window_days=policy.window_days, cool_off_days=policy.cool_off_days
    )


def _class_to_proto(touchpoint_class: TouchpointClass) -> "pb.TouchpointClass.ValueType":
    match touchpoint_class:
        case TouchpointClass.ASSISTED:
            return pb.TOUCHPOINT_CLASS_ASSISTED
        case TouchpointClass.SELF_SERVICE:
            return pb.TOUCHPOINT_CLASS_SELF_SERVICE
        case TouchpointClass.OUTBOUND:
            return pb.TOUCHPOINT_CLASS_OUTBOUND
        case TouchpointClass.SCENE:
            return pb.TOUCHPOINT_CLASS_SCENE
        case _:
            assert_never(touchpoint_class)
