"""Paths by which a fake that runs as a process is watched and steered: `/fake/status` and `/fake/control`."""

from aiohttp import web

from tests.fakes.core import HttpFake


def routes(fake: HttpFake) -> list[web.RouteDef]:
    """GET the counts; POST `faults`, `fates` (scripts), `callback_url`, `inbound` ([{from, text, to}])."""

    async def status(_: web.Request) -> web.Response:
        return web.json_response(fake.status())

    async def control(request: web.Request) -> web.Response:
        told = await request.json()
        fake.faults.script.extend(told.get("faults", ()))
        fake.fates.script.extend(told.get("fates", ()))
        fake.callback_url = told.get("callback_url", fake.callback_url)
        for message in told.get("inbound", ()):
            fake.inbound(message["from"], message["text"], message.get("to", ""))
        return web.json_response({})

    return [web.get("/fake/status", status), web.post("/fake/control", control)]
