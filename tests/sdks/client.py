"""Clients made with the official Python SDK, 1.x or 2.x, in front of `server.cjs`.

    python client.py URL SCENARIO...

Prints one object: for each scenario, what came of it. The scenarios are those of `client.cjs`.
"""

import json
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from inspect import signature

import anyio

try:
    import httpx2 as httpx
    from mcp import Client
    from mcp.types import CreateMessageResult, ListRootsResult, Root, TextContent
except ImportError:
    import httpx
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client
    from mcp.types import CreateMessageResult, ListRootsResult, Root, TextContent

    Client = None

URL, *WANTED = sys.argv[1:]


class Seen:
    """A client that remembers what it was told and asked."""

    def __init__(self):
        self.logs, self.questions, self.session = [], [], None

    async def on_log(self, params):
        self.logs.append(params.data)

    async def on_question(self, _context, params):
        self.questions.append(params.messages[0].content.text)
        return CreateMessageResult(role="assistant", model="none", content=TextContent(type="text", text="Ada"))

    async def call(self, name, **arguments):
        result = await self.session.call_tool(name, arguments)
        return result.content[0].text

    def both(self):
        return {"logs": self.logs, "questions": self.questions}


@asynccontextmanager
async def opened(url=URL, root=None):
    seen = Seen()
    callbacks = {"logging_callback": seen.on_log, "sampling_callback": seen.on_question}
    if root is not None:

        async def on_roots(_context):
            return ListRootsResult(roots=[Root(uri=root)])

        callbacks["list_roots_callback"] = on_roots
    if Client is not None:
        async with Client(url, **callbacks) as seen.session:
            yield seen
        return
    async with streamablehttp_client(url) as (read, write, _):
        async with ClientSession(read, write, **callbacks) as seen.session:
            await seen.session.initialize()
            yield seen


async def many(client):
    right = []

    async def one(message):
        right.append(await client.call("echo", message=message) == message)

    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(one, str(number))
    return sum(right)


async def burst(client):
    answer = await client.call("burst", count=1000)
    in_order = client.logs == [f"burst {at}" for at in range(len(client.logs))]
    return {"answer": answer, "logs": len(client.logs), "inOrder": in_order}


async def too_deep(client):
    begun = time.monotonic()
    failure = "none"
    try:
        await client.call("too_deep")
    except Exception as error:
        failure = error.error.code
    return {"failure": failure, "soon": time.monotonic() - begun < 10}


async def asked(client):
    with anyio.move_on_after(0.5) as forgotten:
        await client.call("never")
    answer = await client.call("test_sampling", prompt="who?")
    outcome = "cancelled" if forgotten.cancelled_caught else "answered"
    return {"forgotten": outcome, "answer": answer, "questions": client.questions}


async def alone(client):
    await client.call("log_later", ms=200, secret="said later")
    with anyio.move_on_after(10):
        while not client.logs:
            await anyio.sleep(0.05)
    return list(client.logs)


async def slow():
    process = await anyio.open_process(["mcp-node", __file__.replace("client.py", "relay.cjs"), URL])
    try:
        url = (await process.stdout.receive()).decode().strip()
        async with opened(url) as client:
            answer = await client.call("sleep", ms=12000)
            told = (await process.stdout.receive()).decode()
            return {"answer": answer, "breaks": told.count("broken")}
    finally:
        process.kill()
        await process.aclose()


async def refused():
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient() as client:
        return (await client.post(URL, headers=headers, content=b"x" * (20 << 20))).status_code


async def two():
    async with opened() as one, opened() as other:
        await one.call("log_later", ms=200, secret="of one")
        await one.call("ask_later", ms=400, secret="of one")
        await other.call("sleep", ms=1000)
        outcomes = await other.call("outcomes")
        return {"outcomes": outcomes, "one": one.both(), "other": other.both()}


async def rooted():
    async with opened(root="file:///of/one") as one, opened(root="file:///of/other") as other, opened() as third:
        return [await client.call("roots") for client in (one, other, third)]


async def crossing():
    wrong = []
    async with opened() as one, opened() as other:

        async def rounds(client, name):
            for number in range(100):
                message = f"{name} {number}"
                answer = await client.call("echo", message=message)
                if answer != message:
                    wrong.append(answer)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rounds, one, "one")
            tasks.start_soon(rounds, other, "other")
    return wrong


async def main():
    outcomes = {}
    async with AsyncExitStack() as stack:
        # One session for all that one client shows: the end of a session is something that the next one could notice.
        client = None
        for scenario in WANTED:
            run = globals()[scenario]
            if not signature(run).parameters:
                outcomes[scenario] = await run()
                continue
            client = client or await stack.enter_async_context(opened())
            client.logs.clear()
            outcomes[scenario] = await run(client)
    print(json.dumps(outcomes))


anyio.run(main)
