"""CustomerService: customers with their persons and service lines."""

from typing import Any

from chassis.errors import InvalidArgument
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import customer_service_pb2 as pb
from touchstone.member.v1 import customer_service_pb2_grpc as pb_grpc

from member.api.rendering import many, one
from member.use_cases import customers as use_cases
from member.use_cases import erasing, exporting, merging
from member.wire import customer_changes as changes
from member.wire import customers as wire

_PUT = many(use_cases.upsert_customers, wire.put_customer_to_proto)
_MERGE = many(merging.merge_customers, changes.merged_to_proto)
_ERASE = one(erasing.erase_customer, changes.erased_to_proto)


class CustomerApi(pb_grpc.CustomerServiceServicer):
    """The calls of CustomerService."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._putting = Gatherer(work, "upsert_customers", _PUT, pb.UpsertCustomerResponse)
        self._merging = Gatherer(work, "merge_customers", _MERGE, pb.MergeCustomersResponse)

    async def UpsertCustomer(
        self, request: pb.UpsertCustomerRequest, context: ServicerContext[Any, Any]
    ) -> pb.UpsertCustomerResponse:
        command = wire.upsert_from_proto(request)
        response = await self._putting.answer(ask(request, command))
        wire.complete(response, command)
        return response

    async def BatchUpsertCustomers(
        self, request: pb.BatchUpsertCustomersRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchUpsertCustomersResponse:
        commands: list[use_cases.UpsertCustomer | None] = []

        def read(asked: pb.UpsertCustomerRequest) -> use_cases.UpsertCustomer:
            commands.append(None)
            commands[-1] = command = wire.upsert_from_proto(asked)
            return command

        results = await self._putting.answer_batch(
            request.requests, read=read, result=item_result(pb.UpsertCustomerResult)
        )
        for command, result in zip(commands, results, strict=True):
            if command is not None and result.HasField("response"):
                wire.complete(result.response, command)
        return pb.BatchUpsertCustomersResponse(results=results)

    async def GetCustomer(
        self, request: pb.GetCustomerRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetCustomerResponse:
        customer_id = wire.customer_id_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            customer = await use_cases.get_customer(connection, customer_id)
        return pb.GetCustomerResponse(customer=wire.customer_to_proto(customer))

    async def ListCustomers(
        self, request: pb.ListCustomersRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListCustomersResponse:
        page, only = page_from_request(request), wire.filter_from_proto(request)
        async with self._work.reading() as connection:
            found = await use_cases.list_customers(connection, page, only)
        shown, token = page.cut(found, lambda one: one.customer_id)
        return pb.ListCustomersResponse(
            customers=[wire.customer_to_proto(customer) for customer in shown],
            next_page_token=token,
        )

    async def GetContactAddress(
        self, request: pb.GetContactAddressRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetContactAddressResponse:
        customer_id = wire.customer_id_from_proto(request.customer_id)
        person_id = wire.person_id_from_proto(request.person_id)
        async with self._work.reading() as connection:
            address = await use_cases.get_contact_address(connection, customer_id, person_id)
        return wire.contact_address_to_proto(address)

    async def MergeCustomers(
        self, request: pb.MergeCustomersRequest, context: ServicerContext[Any, Any]
    ) -> pb.MergeCustomersResponse:
        return await self._merging.answer(ask(request, changes.merge_from_proto(request)))

    async def BatchMergeCustomers(
        self, request: pb.BatchMergeCustomersRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchMergeCustomersResponse:
        if len(request.requests) > merging.MERGES_MAX:
            raise InvalidArgument("requests", f"must have at most {merging.MERGES_MAX} items")
        results = await self._merging.answer_batch(
            request.requests, read=changes.merge_from_proto, result=item_result(pb.MergeCustomersResult)
        )
        return pb.BatchMergeCustomersResponse(results=results)

    async def ListMerges(
        self, request: pb.ListMergesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListMergesResponse:
        customer_id, page = wire.customer_id_from_proto(request.customer_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await merging.list_merges(connection, customer_id, page)
        shown, token = page.cut(found, lambda each: each.merged_id)
        return pb.ListMergesResponse(merges=[changes.merge_to_proto(each) for each in shown], next_page_token=token)

    async def ExportCustomer(
        self, request: pb.ExportCustomerRequest, context: ServicerContext[Any, Any]
    ) -> pb.ExportCustomerResponse:
        customer_id = wire.customer_id_from_proto(request.customer_id)
        person_id = wire.person_id_from_proto(request.person_id)
        async with self._work.reading() as connection:
            document = await exporting.export_customer(connection, customer_id, person_id)
        return changes.export_to_proto(document)

    async def EraseCustomer(
        self, request: pb.EraseCustomerRequest, context: ServicerContext[Any, Any]
    ) -> pb.EraseCustomerResponse:
        asked = ask(request, changes.erase_from_proto(request))
        return await self._work.answer("erase_customer", asked, _ERASE, pb.EraseCustomerResponse)
