"""What trunks and PBXs do inside calls, played by SIPp against an endpoint that knows nothing of it.

That endpoint is `endpoint/`, to which the folders link: INVITE, ACK and BYE are all that it takes, as what stands behind
Retell. `shielded` looks at it once more after every flow.
"""

import re

from case import TO_RETELL, TO_TRUNK, flow
from harness import CALLEE_PORT, ONE_CALL, check

KNOWN = {"INVITE", "ACK", "BYE", "CANCEL"}


def trunk_acts(case, options=()):
    """The trunk plays its part, as the caller or as the callee; returns it."""
    case.start()
    if case.direction == TO_RETELL:
        trunk, endpoint = case.call(caller_options=options)
    else:
        endpoint, trunk = case.call("uac-retell", "uas-trunk", callee_options=options)
    shielded(endpoint)
    case.finish(ended_by="caller" if case.direction == TO_RETELL else "callee")
    return trunk


def shielded(endpoint):
    """It saw one INVITE at most, no method that it doesn't know, and nothing of a feature."""
    requests = [message for message in endpoint.messages() if not message.sent and not message.start.startswith("SIP/")]
    methods = {message.start.split()[0] for message in requests}
    check(methods <= KNOWN, f"{endpoint.name} was sent {methods - KNOWN}")
    invites = {(message.one("Call-ID"), message.one("CSeq")) for message in endpoint.got("INVITE")}
    check(len(invites) <= 1, f"{endpoint.name} was sent {len(invites)} INVITEs")
    for message in endpoint.messages():
        for name in () if message.sent else ("Require", "RSeq", "Session-Expires", "Min-SE"):
            check(not message.all(name), f"{endpoint.name} was sent {name}: {message.text}")


def answers(agent, method="INVITE"):
    """Our 200s, in order, each once."""
    found = [message for message in agent.messages() if not message.sent and message.status(method) == 200]
    return list({message.one("CSeq"): message for message in found}.values())


def line(message, start):
    """The lines of the session description that begin so."""
    return re.findall(rf"^{start}(.*)$", message.body, re.M)


def directions(messages):
    return [line(message, "a=(?=send|recv|inactive)")[-1] for message in messages]


def versions(messages):
    return [int(line(message, "o=")[0].split()[2]) for message in messages]


@flow("hold-dialects", seconds=4)
def hold_dialects(case):
    trunk = trunk_acts(case)
    told = answers(trunk)[case.direction == TO_RETELL:]
    held, resumed = told[0::2], told[1::2]
    check(directions(held[:4]) == ["recvonly", "inactive", "sendonly", "recvonly"], f"held {directions(held[:4])}")
    check([message.media()[0] for message in resumed] == ["0"] * 5, "the codec changed")
    check(line(held[4], "m=audio ")[0].startswith("0 "), f"a stream without a port was answered {held[4].body}")
    check(directions(resumed) == ["sendrecv"] * 5, f"resumed {directions(resumed)}")
    check(versions(told) == sorted(set(versions(told))), f"versions {versions(told)}")


@flow("session-changes", seconds=3)
def session_changes(case):
    trunk = trunk_acts(case)
    told = answers(trunk)[case.direction == TO_RETELL:]
    check([message.media()[0] for message in told] == ["8", "8", "8", "0", "0", "0"], f"{[message.media() for message in told]}")
    refusal = trunk.response(488)
    check("305" in refusal.one("Warning"), f"Warning {refusal.one('Warning')}")
    offers = told[2:5]
    check(all(message.media() == ["8", "0", "101"] or message.media() == ["0", "8", "101"] for message in offers),
          f"offered {[message.media() for message in offers]}")
    check(versions(told) == sorted(versions(told)), f"versions {versions(told)}")


@flow("other-streams", seconds=3)
def other_streams(case):
    trunk = trunk_acts(case)
    told = answers(trunk)[case.direction == TO_RETELL:]
    streams = [[stream.split()[:2] for stream in line(message, "m=")] for message in told]
    kinds = [[kind for kind, _ in answered] for answered in streams]
    check(kinds == [["audio", "video"], *[["audio", "video", "image"]] * 2], f"answered {streams}")
    ports = {kind: {port for answered in streams for found, port in answered if found == kind} for kind in kinds[-1]}
    check("0" not in ports["audio"] and ports["video"] == ports["image"] == {"0"}, f"answered {streams}")
    check("304" in trunk.response(488).one("Warning"), f"Warning {trunk.response(488).one('Warning')}")


@flow("requests-in-dialog", seconds=3)
def requests_in_dialog(case):
    trunk = trunk_acts(case)
    for method, code in (("MESSAGE", 405), ("FROBNICATE", 501), ("OPTIONS", 200)):
        check("INVITE" in trunk.response(code, method).one("Allow"), f"no Allow in the {code} to {method}")
    check(trunk.response(415, "INFO").one("Accept") == "application/dtmf-relay, application/dtmf", "Accept of INFO")
    check(trunk.response(469, "INFO").all("Recv-Info") == [""], "Recv-Info")


@flow("lost-in-reinvite", transports=["udp"], seconds=5)
def lost_in_reinvite(case):
    trunk = trunk_acts(case, NO_RETRANSMISSION)
    repeated = [message.text for message in trunk.messages() if not message.sent and message.status("INVITE") == 200]
    check(len(repeated) - len(set(repeated)) >= 3, f"{len(repeated)} answers, {len(set(repeated))} different")


@flow("late-offer", [TO_RETELL], seconds=2)
def late_offer(case):
    case.start()
    uac, uas = case.call()
    shielded(uas)
    check(uas.got("INVITE")[0].media() == ["0", "101"], f"offered {uas.got('INVITE')[0].body!r}")
    check(uac.response(200).media() == ["0", "8", "101"], f"our offer was {uac.response(200).body}")
    case.finish()


def late_offer_ends(role, named):
    def run(case):
        case.start()
        _, uas = case.call(role)
        shielded(uas)
        check(named in case.finish(ended_by="trunkline")["reason"], f"the record does not say {named!r}")
    return run


flow("late-offer", [TO_RETELL], name="late-offer-bad-answer")(late_offer_ends("uac-bad-answer", "codec"))
flow("late-offer", [TO_RETELL], name="late-offer-no-answer")(late_offer_ends("uac-no-answer", "answer"))


@flow("late-offer", [TO_RETELL], name="late-offer-reliable")
def late_offer_reliable(case):
    case.start()
    uac, uas = case.call("uac-reliable", "uas-early")
    shielded(uas)
    check(uac.response(183).media() == ["0", "8", "101"], f"our offer was {uac.response(183).body}")
    check(not uac.response(200).body, "the 200 describes what the PRACK settled")
    check(case.finish()["legs"][0]["codec"] == "PCMA", "the answer in the PRACK was not taken")


@flow("prack", [TO_RETELL], seconds=3)
def prack(case):
    case.start()
    uac, uas = case.call()
    shielded(uas)
    numbers = [int(uac.response(code).one("RSeq")) for code in (180, 183)]
    check(numbers[1] == numbers[0] + 1, f"RSeq {numbers}")
    check(all(uac.response(code).one("Require") == "100rel" for code in (180, 183)), "not required")
    check([len(message.body) > 0 for message in answers(uac, "PRACK")] == [False, True], "the offer in the PRACK")
    check(directions(answers(uac, "UPDATE")) == ["sendrecv"], "the offer in the UPDATE")
    case.finish()


@flow("prack", [TO_RETELL], ["udp"], name="prack-late", seconds=4)
def prack_late(case):
    case.start()
    uac, uas = case.call("uac-late", caller_options=NO_RETRANSMISSION)
    shielded(uas)
    copies = [message.text for message in uac.messages() if not message.sent and message.status("INVITE") == 183]
    check(len(copies) >= 3 and len(set(copies)) == 1, f"{len(copies)} copies, {len(set(copies))} different")
    case.finish()


@flow("prack", [TO_TRUNK], name="prack-of-callee")
def prack_of_callee(case):
    case.start()
    uac, uas = case.call("uac-retell", "uas-trunk")
    shielded(uac)
    check("100rel" in uas.got("INVITE")[0].one("Supported"), "100rel was not offered")
    check(line(uas.response(200, "UPDATE"), "m="), "the UPDATE was not answered")
    case.finish(ended_by="callee")


@flow("forked-answer", seconds=3)
def forked_answer(case):
    case.start()
    uac, _ = case.call()
    tags = {message.one("To").partition(";tag=")[2] for message in uac.messages()
            if (message.status("INVITE") or 0) > 100}
    check(len(tags) == 1, f"the caller was shown {len(tags)} dialogs")
    check(uac.statuses() == [100, 180, 183, 200], f"the caller got {uac.statuses()}")
    case.finish()


@flow("session-timer", [TO_RETELL])
def session_timer(case):
    case.start()
    uac, uas = case.call()
    shielded(uas)
    check(uac.response(422).one("Min-SE") == "90", f"Min-SE {uac.response(422).one('Min-SE')}")
    granted = answers(uac) + answers(uac, "UPDATE")
    check([message.one("Session-Expires") for message in granted] == ["90;refresher=uac"] * 3, "Session-Expires")
    check(all(message.one("Require") == "timer" for message in granted), "a refresher must know that it is")
    case.finish(refused=1)


@flow("session-timer", [TO_TRUNK], name="session-timer-of-callee")
def session_timer_of_callee(case):
    case.start(trunk='profile = { session_timer = "force" }')
    uac, uas = case.call("uac-retell", "uas-trunk")
    shielded(uac)
    invites = {message.one("CSeq"): message for message in uas.got("INVITE")}
    check(list(invites) == ["1 INVITE", "2 INVITE"], f"the trunk got {list(invites)}")
    check(len({message.one("Call-ID") for message in invites.values()}) == 1, "the Call-ID changed")
    refreshed = answers(uas, "UPDATE") + answers(uas)
    check(all(message.one("Session-Expires").startswith("2400;refresher=") for message in refreshed), "Session-Expires")
    case.finish(ended_by="callee")


@flow("session-refresh", transports=["udp"], seconds=50)
def session_refresh(case):
    trunk = trunk_acts(case)
    method = "UPDATE" if case.direction == TO_RETELL else "INVITE"
    refresh = trunk.got(method)[-1]
    check(refresh.one("Session-Expires") == "90;refresher=uac", f"Session-Expires {refresh.one('Session-Expires')}")


@flow("multipart", [TO_RETELL])
def multipart(case):
    case.start()
    uac, uas = case.call()
    shielded(uas)
    check(uas.got("INVITE")[0].one("Content-Type") == "application/sdp", "the ISUP went on")
    check(directions(answers(uac)) == ["sendrecv", "recvonly"], f"answered {directions(answers(uac))}")
    case.finish()


@flow("multipart", [TO_RETELL], name="multipart-required")
def multipart_required(case):
    case.start()
    case.caller("uac-required").finish()
    case.finish(415, "trunkline", answered=False, legs=1)


@flow("multipart", [TO_TRUNK], name="multipart-of-callee")
def multipart_of_callee(case):
    case.start()
    uac, _ = case.call("uac-retell", "uas-trunk")
    check([uac.response(code).media() for code in (183, 200)] == [["0", "101"]] * 2, "the caller's descriptions")
    case.finish()


@flow("fallback", [TO_RETELL])
def fallback(case):
    net = case.network
    desk = f"sip:desk@{net.second}:{CALLEE_PORT};transport={case.transport}"
    case.start(retell=f'trust_address = true\nchallenge = false\nfallback = "{desk}"')
    retell, desk = case.callee("uas-refusing"), case.callee("uas", address=net.second)
    uac = case.caller()
    for agent in (uac, retell, desk):
        agent.finish()
    check(uac.statuses() == [100, 180, 200], f"the caller got {uac.statuses()}")
    case.finish(legs=3)


# SIPp then neither retransmits nor takes a repeated message for one it has dealt with.
NO_RETRANSMISSION = (*ONE_CALL, "-nr")
