"""The flows whose sides are written by hand: wrong requests, races, connections that break or change."""

from agent import Callee, Caller, sdp
from case import TO_RETELL, TO_TRUNK, flow
from harness import check

REFUSED = [
    # what, what the INVITE is made of, the code, what the answer must name
    ("to-tag-nobody-gave", {"to": "<sip:somebody@bridge.example>;tag=never-given"}, 481, None),
    ("unknown-extension", {"extra": "Require: frobnicate\r\n"}, 420, ("Unsupported", "frobnicate")),
    ("not-a-session", {"body": "hello", "content": "text/plain"}, 415, ("Accept", "application/sdp")),
    ("encoded", {"extra": "Content-Encoding: gzip\r\n"}, 415, ("Accept-Encoding", "identity")),
    ("no-codec-in-common", {"body": sdp("192.0.2.1", formats="18 101")}, 488, ("Warning", "305")),
    ("no-audio", {"body": sdp("192.0.2.1").replace("m=audio", "m=video")}, 488, ("Warning", "304")),
    ("no-hop-left", {"max_forwards": 0}, 483, None),
    ("another-scheme", {"uri": "mailto:callee@bridge.example"}, 416, None),
]

STRAY = [("BYE", 481), ("OPTIONS", 481), ("CANCEL", 481), ("PUBLISH", 405), ("FROBNICATE", 501)]


@flow("refused-requests")
def refused_requests(case):
    case.start()
    with Caller(case.network, case.transport) as caller:
        for what, parts, code, named in REFUSED:
            response = caller.invite(what, **parts).refused(code)
            if named:
                header, value = named
                check(value in response.one(header), f"{what}: {header} {response.one(header)}")
        for method, code in STRAY:
            caller.call_id, caller.to, caller.target = f"stray-{method}", f"<{caller.uri}>", caller.uri
            inside = f"{caller.to};tag=never-given" if method in ("BYE", "OPTIONS") else None
            response = caller.request(method, 1, to=inside).expect(code, method)
            check(code not in (405, 501) or "INVITE" in response.one("Allow"), f"{method}: {response.text}")
    case.finish(483, "trunkline", answered=False, legs=1, calls=6)


@flow("merged-invite", transports=["udp"])
def merged_invite(case):
    case.start()
    with Caller(case.network) as caller, Callee(case.network) as callee:
        caller.invite(branch="first")
        invite = callee.wait_for("INVITE")
        caller.request("INVITE", 1, branch="second", body=sdp(caller.address)).refused(482)
        callee.accept(invite)
        caller.answered()
        callee.nothing_comes("INVITE", 0.3)
        hang_up_by_caller(caller, callee)
    case.finish()


@flow("cancel-after-answer")
def cancel_after_answer(case):
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite(branch="the-invite")
        callee.accept(callee.wait_for("INVITE"))
        caller.expect(200)
        caller.request("CANCEL", 1, branch="the-invite", uri=caller.uri, to=f"<{caller.uri}>")
        caller.expect(200, "CANCEL")
        caller.request("ACK", 1)
        callee.wait_for("ACK")
        callee.nothing_comes("BYE", 0.5)
        hang_up_by_caller(caller, callee)
    case.finish()


@flow("early-bye")
def early_bye(case):
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite(branch="the-invite")
        invite = callee.wait_for("INVITE")
        callee.answer(invite, 180, "Ringing")
        caller.expect(180)
        caller.request("BYE", 2).expect(200, "BYE")
        caller.expect(487)
        caller.request("ACK", 1, branch="the-invite", uri=caller.uri)
        callee.answer(callee.wait_for("CANCEL"), 200, "OK")
        callee.answer(invite, 487, "Request Terminated")
        callee.wait_for("ACK")
    case.finish(487, "caller", answered=False)


@flow("early-bye", name="bye-before-ack")
def bye_before_ack(case):
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite()
        callee.accept(callee.wait_for("INVITE"))
        caller.expect(200)
        hang_up_by_caller(caller, callee)
    case.finish()


@flow("glare")
def glare(case):
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite()
        invite = callee.wait_for("INVITE")
        callee.answer(invite, 180, "Ringing")
        caller.expect(180)
        caller.request("UPDATE", 2, body=sdp(caller.address, 6002))
        comes_again_soon(caller.expect(500, "UPDATE"))
        caller.request("INVITE", 3, branch="too-early", body=sdp(caller.address, 6002))
        comes_again_soon(caller.refused(500, cseq=3))
        callee.accept(invite)
        caller.answered()
        caller.request("INVITE", 2, branch="too-old", body=sdp(caller.address))
        caller.refused(500, cseq=2)
        hang_up_by_caller(caller, callee, cseq=4)
    case.finish()


@flow("crossing", name="cancel-crosses-200")
def cancel_crosses_200(case):
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite(branch="the-invite")
        invite = callee.wait_for("INVITE")
        callee.answer(invite, 180, "Ringing")
        caller.expect(180)
        caller.request("CANCEL", 1, branch="the-invite", uri=caller.uri, to=f"<{caller.uri}>")
        caller.expect(200, "CANCEL")
        caller.expect(487)
        caller.request("ACK", 1, branch="the-invite", uri=caller.uri)
        cancel = callee.wait_for("CANCEL")
        callee.accept(invite)
        callee.answer(cancel, 200, "OK")
        callee.wait_for("ACK")
        callee.answer(callee.wait_for("BYE"), 200, "OK")
        caller.nothing_comes("BYE", 0.3)
    case.finish(487, "caller", answered=False)


@flow("crossing", name="bye-crosses-reinvite")
def bye_crosses_reinvite(case):
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite()
        callee.accept(callee.wait_for("INVITE"))
        caller.answered()
        callee.wait_for("ACK")
        caller.request("INVITE", 2, body=sdp(caller.address, direction="sendonly"))
        caller.request("BYE", 3).expect(200, "BYE")
        caller.answered(cseq=2)
        callee.answer(callee.wait_for("BYE"), 200, "OK")
        callee.nothing_comes("INVITE", 0.3)
    case.finish()


@flow("crossing", name="reinvite-before-ack")
def reinvite_before_ack(case):
    """The ACK to the first 200 comes after the hold that followed it at once."""
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite()
        callee.accept(callee.wait_for("INVITE"))
        caller.expect(200)
        caller.request("INVITE", 2, body=sdp(caller.address, direction="sendonly"))
        held = caller.answered(cseq=2)
        check("a=recvonly" in held.body, f"the hold was answered {held.body}")
        caller.request("ACK", 1)
        callee.wait_for("ACK")
        callee.nothing_comes("INVITE", 0.3)
        hang_up_by_caller(caller, callee, cseq=3)
    case.finish()


@flow("crossing", name="bye-crosses-bye")
def bye_crosses_bye(case):
    """Both hang up at once: each BYE gets its 200, those of ours that cross them are taken for what they are."""
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite()
        invite = callee.wait_for("INVITE")
        callee.accept(invite)
        caller.answered()
        callee.wait_for("ACK")
        caller.request("BYE", 2)
        callee.request("BYE", 1, invite)
        caller.expect(200, "BYE")
        callee.expect(200, "BYE")
        was_told = lambda agent: any(message.is_request("BYE") for message in agent.inbox)
        second, first = (caller, "callee") if was_told(caller) else (callee, "caller")
        second.answer(second.wait_for("BYE"), 481)
    case.finish(ended_by=first)


@flow("redirected")
def redirected(case):
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite()
        callee.answer(callee.wait_for("INVITE"), 302, "Moved Temporarily")
        callee.wait_for("ACK")
        refusal = caller.refused(502)
        check(not refusal.all("Contact"), f"the caller was told where to go: {refusal.text}")
    case.finish(502, "callee", answered=False)


@flow("options-in-dialog")
def options_in_dialog(case):
    case.start()
    with Caller(case.network, case.transport) as caller, Callee(case.network, case.transport) as callee:
        caller.invite()
        invite = callee.wait_for("INVITE")
        callee.accept(invite)
        caller.answered()
        callee.wait_for("ACK")
        allowed = caller.request("OPTIONS", 2).expect(200, "OPTIONS").one("Allow")
        check("INVITE" in allowed, f"Allow {allowed}")
        callee.request("OPTIONS", 1, invite)
        callee.expect(200, "OPTIONS")
        caller.nothing_comes("OPTIONS", 0.2)
        callee.nothing_comes("OPTIONS", 0.2)
        hang_up_by_caller(caller, callee, cseq=3)
    case.finish()


@flow("closed-connection", transports=["tcp"])
def closed_connection(case):
    """RFC 3261 §18: a connection is no part of the dialog; what follows goes to the Contact by a new one."""
    case.start()
    with Caller(case.network, "tcp") as caller, Callee(case.network, "tcp") as callee:
        caller.invite()
        invite = callee.wait_for("INVITE")
        callee.accept(invite)
        caller.answered()
        callee.wait_for("ACK")
        caller.disconnect()
        callee.nothing_comes("BYE", 0.5)
        callee.hang_up(invite)
        caller.wait_for("BYE")
    case.finish(ended_by="callee")


@flow("closed-connection", transports=["tcp"], name="closed-connection-of-both")
def closed_connection_of_both(case):
    """The callee's connection goes too, and the caller hangs up by a new one."""
    case.start()
    with Caller(case.network, "tcp") as caller, Callee(case.network, "tcp") as callee:
        caller.invite()
        callee.accept(callee.wait_for("INVITE"))
        caller.answered()
        callee.wait_for("ACK")
        caller.disconnect()
        callee.disconnect()
        hang_up_by_caller(caller, callee)
    case.finish()


@flow("closed-connection", transports=["tcp"], name="closed-connection-nobody-left")
def nobody_left(case):
    """The caller is gone for good: the callee's BYE is answered, and nothing of the call is left."""
    case.start()
    with Callee(case.network, "tcp") as callee:
        with Caller(case.network, "tcp") as caller:
            caller.invite()
            invite = callee.wait_for("INVITE")
            callee.accept(invite)
            caller.answered()
            callee.wait_for("ACK")
        callee.hang_up(invite)
    case.finish(ended_by="callee")


@flow("second-connection", transports=["tcp"])
def second_connection(case):
    case.start()
    with Caller(case.network, "tcp") as caller, Callee(case.network, "tcp") as callee:
        caller.invite()
        invite = callee.wait_for("INVITE")
        callee.answer(invite, 180, "Ringing", connection=callee.connect())
        caller.expect(180)
        callee.accept(invite, connection=callee.connect())
        caller.answered()
        callee.wait_for("ACK")
        hang_up_by_caller(caller, callee)
    case.finish()


@flow("last-ports", transports=["udp"])
def last_ports(case):
    """The range fits one call: a second one at once is refused, one after the other they are not."""
    case.start(ports=(20000, 20003))
    with Caller(case.network) as caller, Callee(case.network) as callee:
        for number in range(5):
            caller.invite(f"call-{number}")
            callee.accept(callee.wait_for("INVITE"))
            caller.answered()
            call = caller.call_id, caller.to, caller.target
            caller.invite(f"second-{number}").refused(503)
            caller.call_id, caller.to, caller.target = call
            hang_up_by_caller(caller, callee)
    case.finish(calls=5, refused=5)


def comes_again_soon(refusal):
    seconds = int(refusal.one("Retry-After"))
    check(0 <= seconds <= 10, f"Retry-After {seconds}")


def hang_up_by_caller(caller, callee, cseq=2):
    caller.request("BYE", cseq)
    callee.answer(callee.wait_for("BYE"), 200, "OK")
    caller.expect(200, "BYE")
