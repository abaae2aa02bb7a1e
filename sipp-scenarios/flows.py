"""The flows that SIPp plays on both sides: what must be seen besides both being content.

A flow is declared for its folder with the directions and transports it runs in; every case ends with the checks of `Case.finish`.
"""

import agent
import digest
import strangers
from case import CALLER, TO_RETELL, TO_TRUNK, flow
from harness import DIALLED, ONE_CALL, SIP_PORT, check

# Flows, in the order of the README.

@flow("basic-call")
def basic_call(case):
    case.start()
    uac, uas = case.call()
    invite, answer = uas.got("INVITE")[0], uac.response(200)
    check(invite.uri().startswith(f"sip:{DIALLED}@{case.network.callee}"), f"Request-URI {invite.uri()}")
    check(f"<{invite.uri()}>" in invite.one("To"), f"To is not the Request-URI: {invite.one('To')}")
    check(f"sip:{CALLER}@{case.network.bridge}" in invite.one("From"), f"From {invite.one('From')}")
    check(invite.one("Max-Forwards") == "69", f"Max-Forwards {invite.one('Max-Forwards')}")
    check(uac.statuses() in ([100, 180, 200], [100, 180, 200, 200]), f"the caller got {uac.statuses()}")
    offered = ["0", "101"] if case.direction == TO_RETELL else ["0", "8", "101"]
    check(invite.media() == offered, f"offered {invite.media()}, not {offered}")
    check(answer.media() == ["0", "101"], f"answered {answer.media()}")
    for message in (invite, answer):
        check(f"c=IN IP4 {case.network.bridge}\n" in message.body, f"not our media address: {message.body}")
    record = case.finish()
    check((record["from"], record["to"], record["trunk"], record["retell"]) == (CALLER, DIALLED, "carrier", "retell"), f"{record}")
    check(900 <= record["duration_ms"] <= 2500, f"duration_ms {record['duration_ms']}, not about 1000")
    check(all(leg["codec"] == "PCMU" and leg["sip_code"] == 200 for leg in record["legs"]), f"{record['legs']}")


@flow("ringing")
def ringing(case):
    case.start()
    uac, _ = case.call()
    check(uac.statuses() == [100, 180, 183, 200], f"the caller got {uac.statuses()}")
    case.finish()


@flow("caller-cancels")
def caller_cancels(case):
    case.start()
    case.call()
    case.finish(487, "caller", answered=False)


@flow("cancel-before-ringing", seconds=3)
def cancel_before_ringing(case):
    case.start()
    _, uas = case.call()
    messages = [message.start for message in uas.messages()]
    ringing_at = messages.index("SIP/2.0 180 Ringing")
    check(not any(start.startswith("CANCEL") for start in messages[:ringing_at]), f"CANCEL before any response: {messages}")
    case.finish(487, "caller", answered=False)


@flow("callee-busy")
def callee_busy(case):
    case.start()
    uac, _ = case.call()
    code = 480 if case.direction == TO_RETELL else 486
    check(uac.statuses()[-1] == code, f"the caller got {uac.statuses()}")
    case.finish(code, "callee", answered=False)


@flow("not-found")
def not_found(case):
    case.start()
    uac, _ = case.call()
    code = 480 if case.direction == TO_RETELL else 404
    check(uac.statuses()[-1] == code, f"the caller got {uac.statuses()}")
    case.finish(code, "callee", answered=False)


@flow("unavailable")
def unavailable(case):
    case.start()
    case.call()
    case.finish(503, "callee", answered=False)


@flow("unreachable")
def unreachable(case):
    case.start()
    case.caller().finish()
    case.finish(503, "trunkline", answered=False)


@flow("next-target", [TO_TRUNK])
def next_target(case):
    case.start(targets=[case.network.callee, case.network.second])
    first = case.callee("uas-refusing")
    second = case.callee("uas", address=case.network.second)
    case.caller().finish()
    first.finish()
    second.finish()
    identifiers = {agent.got("INVITE")[0].one("Call-ID") for agent in (first, second)}
    check(len(identifiers) == 2, "both targets saw the same Call-ID")
    case.finish(legs=3)


@flow("next-target", [TO_TRUNK], name="next-target-unreachable")
def next_target_unreachable(case):
    case.start(targets=[case.network.callee, case.network.second])
    second = case.callee("uas", address=case.network.second)
    case.caller().finish()
    second.finish()
    case.finish(legs=3)


@flow("late-target", [TO_TRUNK], seconds=11)
def late_target(case):
    case.start(targets=[case.network.callee, case.network.second])
    late = case.callee("uas-late")
    second = case.callee("uas", address=case.network.second)
    case.caller().finish()
    late.finish()
    second.finish()
    case.finish(legs=3)


@flow("no-answer", seconds=4)
def no_answer(case):
    peer = "answer_timeout_s = 2"
    if case.direction == TO_RETELL:
        case.start(retell=f"trust_address = true\nchallenge = false\n{peer}")
    else:
        case.start(trunk=peer)
    case.call()
    case.finish(480, "trunkline", answered=False)


@flow("digest-from-retell", [TO_TRUNK])
def digest_from_retell(case):
    case.start(retell=RETELL_CREDENTIALS)
    uac, uas = case.call(caller_options=digest_uri(case))
    challenges = uac.response(401).all("WWW-Authenticate")
    check(len(challenges) == 1 and challenges[0].startswith("Digest "), f"challenged with {challenges}")
    check(not uas.got("INVITE")[0].all("Authorization"), "the credentials went on to the trunk")
    case.finish()


@flow("digest-from-retell", [TO_TRUNK], name="digest-from-retell-wrong")
def digest_wrong(case):
    case.start(retell=RETELL_CREDENTIALS)
    case.caller("uac-wrong", *digest_uri(case)).finish()
    check(case.bridge.metric("sip_rejected_total", reason="credentials") == 1, "the refusal was not counted")
    case.finish(calls=0)


def digest_uri(case):
    """What SIPp writes by itself lacks the user part, and would be refused."""
    return (*ONE_CALL, "-auth_uri", f"{DIALLED}@{case.network.bridge}:{SIP_PORT}")


@flow("digest-from-retell", [TO_TRUNK], ["udp"], name="digest-from-retell-replayed")
def digest_replayed(case):
    case.start(retell=RETELL_CREDENTIALS)
    uas = case.callee()
    with agent.Caller(case.network) as caller:
        challenge = caller.invite().refused(401)
        credentials = caller.authorization(challenge, "retell-outbound", "s3cret-of-retell")
        presented = f"Authorization: {credentials}\r\n"
        caller.invite(cseq=2, extra=presented).answered(cseq=2)
        caller.hang_up(cseq=3)
        again = caller.invite("another", extra=presented).refused(401)
    uas.finish()
    check("stale=true" in again.one("WWW-Authenticate").lower(), f"not stale: {again.one('WWW-Authenticate')}")
    case.finish()


@flow("proxy-auth-to-retell", [TO_RETELL])
def proxy_auth_to_retell(case):
    case.start(retell=RETELL_CREDENTIALS)
    uac, uas = case.call()
    credentials = authenticates_once(uac, uas, "Proxy-Authorization")
    wanted = digest.response(credentials, "s3cret-of-retell", "INVITE")
    check(f'response="{wanted}"' in credentials, f"not the digest {wanted}: {credentials}")
    case.finish()


@flow("auth-to-trunk", [TO_TRUNK])
def auth_to_trunk(case):
    case.start(trunk='username = "acct"\npassword = "s3cret-of-trunk"')
    uac, uas = case.call()
    authenticates_once(uac, uas, "Authorization")
    case.finish()


def authenticates_once(uac, uas, header):
    """RFC 3261 §22: the retry is the same request with the next CSeq. Returns its credentials."""
    invites = {message.one("CSeq"): message for message in uas.got("INVITE")}
    check(len(invites) == 2, f"the callee got {sorted(invites)}")
    first, second = invites.values()
    check(not first.all(header) and second.one(header).startswith("Digest "), f"{header} in the wrong INVITE")
    for kept in ("Call-ID", "From"):
        check(first.one(kept) == second.one(kept), f"{kept} changed between the attempts")
    numbers = [int(message.one("CSeq").split()[0]) for message in (first, second)]
    check(numbers[1] == numbers[0] + 1, f"CSeq {numbers}")
    check(not {401, 407} & set(uac.statuses()), f"the challenge reached the caller: {uac.statuses()}")
    return second.one(header)


@flow("pcma-only")
def pcma_only(case):
    case.start()
    uac, uas = case.call("uac" if case.direction == TO_RETELL else "uac-retell")
    offered = ["8", "101"] if case.direction == TO_RETELL else ["0", "8", "101"]
    check(uas.got("INVITE")[0].media() == offered, f"offered {uas.got('INVITE')[0].media()}, not {offered}")
    check(uac.response(200).media() == ["8", "101"], f"answered {uac.response(200).media()}")
    record = case.finish()
    check(all(leg["codec"] == "PCMA" for leg in record["legs"]), f"{record['legs']}")


@flow("caller-hangs-up")
def caller_hangs_up(case):
    case.start()
    case.call()
    case.finish()


@flow("callee-hangs-up")
def callee_hangs_up(case):
    case.start()
    case.call()
    case.finish(ended_by="callee")


@flow("contact-without-transport")
def contact_without_transport(case):
    case.start()
    case.call()
    case.finish(ended_by="callee")


@flow("lost-200", transports=["udp"], seconds=4)
def lost_200(case):
    case.start()
    uac, uas = case.call(caller_options=NO_RETRANSMISSION)
    answers = [message.text for message in uac.messages() if message.status("INVITE") == 200]
    check(len(answers) >= 3 and len(set(answers)) == 1, f"{len(answers)} answers, {len(set(answers))} different")
    check(len(uas.got("INVITE")) == 1, "the callee was called again")
    case.finish()


@flow("lost-ack", transports=["udp"], seconds=4)
def lost_ack(case):
    case.start()
    _, uas = case.call(callee_options=NO_RETRANSMISSION)
    check(len(uas.got("ACK")) == 2, f"{len(uas.got('ACK'))} ACKs")
    case.finish()


@flow("no-ack", transports=["udp"], seconds=34)
def no_ack(case):
    case.start()
    case.call()
    record = case.finish(ended_by="trunkline")
    check(31_000 <= record["duration_ms"] <= 34_000, f"hung up after {record['duration_ms']} ms, not 64 T1")


@flow("retransmitted-invite", transports=["udp"], seconds=3)
def retransmitted_invite(case):
    case.start()
    _, uas = case.call(caller_options=NO_RETRANSMISSION)
    check(len({message.one("Call-ID") for message in uas.got("INVITE")}) == 1, "the callee was called more than once")
    case.finish()


@flow("x-headers")
def x_headers(case):
    peers = {TO_RETELL: "all retell", TO_TRUNK: "all trunks"}
    case.start(more=f"""
[[headers.rules]]
toward = "{peers[case.direction]}"
set = {{ X-Call = "{{call_id}}", X-Line = "{{trunk}} {{from}}" }}
remove = ["X-Internal-*"]
""")
    uac, uas = case.call()
    invite, answer, bye = uas.got("INVITE")[0], uac.response(200), uas.got("BYE")[0]
    check(invite.one("X-Customer") == "4711", "X-Customer changed")
    check(invite.one("X-Note") == 'café, "quoted"; sip:a@b.example', f"X-Note changed: {invite.one('X-Note')}")
    check(invite.one("User-to-User") == "3132333435;encoding=hex", "User-to-User changed")
    check(f"@{case.network.bridge}" in invite.one("Diversion") and "pbx.example" not in invite.one("Diversion"),
          f"Diversion shows a host that is not ours: {invite.one('Diversion')}")
    check(invite.one("X-Line") == f"carrier {CALLER}", f"X-Line {invite.one('X-Line')}")
    for kept_back in ("X-Internal-Key", "P-Asserted-Identity"):
        check(not invite.all(kept_back), f"{kept_back} was passed")
    if case.direction == TO_RETELL:
        check(not invite.all("X-Trunkline-Route"), "X-Trunkline-Route of a trunk was passed")
    check(uac.response(180).one("X-Queue") == "3" and answer.one("X-Agent") == "anna", "the callee's headers are missing")
    check(bye.one("X-Disposition") == "resolved", "the header of BYE is missing")
    record = case.finish()
    check(invite.one("X-Call") == record["id"], "X-Call is not the id of the record")


@flow("reinvite", seconds=4)
def reinvite(case):
    case.start()
    uac, uas = case.call()
    calls = {message.one("CSeq") for message in uas.got("INVITE")}
    check(len(calls) == 1, f"a re-INVITE was forwarded to the callee: {calls}")
    check(not uac.got("INVITE"), "a re-INVITE was forwarded to the caller")
    answers = [message for message in uac.messages() if message.status("INVITE") == 200]
    check({tuple(answer.media()) for answer in answers} == {("0", "101")}, "the re-INVITE changed the codec")
    case.finish()


@flow("stranger", [TO_RETELL], seconds=3)
def stranger(case):
    case.start()
    silent = strangers.stranger_over_udp if case.transport == "udp" else strangers.stranger_over_tcp
    silent(case.network)
    check(case.bridge.metric("sip_rejected_total", reason="stranger") >= 1, "strangers were not counted")
    check(not any(case.bridge.metrics().get(name) for name in case.bridge.metrics() if "sip_responses_total" in name),
          "a response was sent")
    check(strangers.options(case.network, case.transport).status("OPTIONS") == 200, "a recognised peer got no 200 to OPTIONS")
    case.finish(calls=0)


RETELL_CREDENTIALS = 'username = "retell-outbound"\npassword = "s3cret-of-retell"'
# SIPp then neither retransmits nor takes a repeated message for one it has dealt with.
NO_RETRANSMISSION = (*ONE_CALL, "-nr")
