"""The flows in which somebody listens: tones both ways, by hand, by SIPp, by baresip; digits; moved media."""

import re
import time

from agent import Callee, Caller, sdp
from case import CALLER, TO_RETELL, flow
from harness import CALLEE_PORT, CALLER_PORT, DIALLED, ONE_CALL, check
from phone import Baresip
from voice import Voice, tone

LOW, MIDDLE, HIGH = 440, 620, 1000
# Of a tone that came whole, less what a jitter buffer may cut or repeat.
WHOLE = 0.97
# Seconds until one who speaks from another address than it gave is heard: half a second, and three packets.
KNOWN = 0.7


@flow("baresip", name="baresip-calls", seconds=8)
def baresip_calls(case):
    case.start(phone="caller")
    net = case.network
    with Callee(net, case.transport) as callee, Voice(net.callee, 7000, HIGH) as voice, \
            Baresip(case, net.caller, CALLER_PORT, CALLER, LOW) as phone:
        phone.dial()
        invite = callee.wait_for("INVITE")
        callee.accept(invite)
        voice.speak_to(net.bridge, port(invite))
        phone.wait_for("CALL_ESTABLISHED")
        listen(voice, LOW, 2)
        holds_and_resumes(phone, voice, LOW, HIGH)
        phone.command("sndcode", "5")
        digit(voice, 5)
        callee.nothing_comes("INVITE", 0.1)
        phone.command("hangup")
        callee.answer(callee.wait_for("BYE"), 200, "OK")
    seconds, tone = phone.heard(HIGH)
    check(seconds > 2 and tone > WHOLE, f"once resumed it heard {seconds:.1f} s, {tone:.3f} of it {HIGH} Hz")
    case.finish()


@flow("baresip", name="baresip-answers", seconds=8)
def baresip_answers(case):
    case.start(phone="callee")
    net = case.network
    with Caller(net, case.transport) as caller, Voice(net.caller, 6000, LOW) as voice, \
            Baresip(case, net.callee, CALLEE_PORT, DIALLED, HIGH) as phone:
        caller.invite()
        answer = caller.answered()
        voice.speak_to(net.bridge, port(answer))
        phone.wait_for("CALL_ESTABLISHED")
        listen(voice, HIGH, 2)
        holds_and_resumes(phone, voice, HIGH, LOW)
        caller.nothing_comes("INVITE", 0.1)
        phone.command("hangup")
        caller.answer(caller.wait_for("BYE"), 200, "OK")
    seconds, tone = phone.heard(LOW)
    check(seconds > 2 and tone > WHOLE, f"once resumed it heard {seconds:.1f} s, {tone:.3f} of it {LOW} Hz")
    case.finish(ended_by="callee")


@flow("srtp", name="srtp-calls", transports=["tcp"], seconds=6)
def srtp_calls(case, tls=False):
    """Hold and resume are re-INVITEs: keys may change in them."""
    certificate = start_encrypted(case, "caller", tls)
    net = case.network
    with Callee(net, case.transport) as callee, Voice(net.callee, 7000, HIGH) as voice, \
            Baresip(case, net.caller, CALLER_PORT, CALLER, LOW, "srtp-mand", certificate) as phone:
        phone.dial()
        invite = callee.wait_for("INVITE")
        check("RTP/AVP" in invite.body and "crypto" not in invite.body, f"keys are for a leg: {invite.body}")
        callee.accept(invite)
        voice.speak_to(net.bridge, port(invite))
        phone.wait_for("CALL_ESTABLISHED")
        listen(voice, LOW, 1)
        phone.command("hold")
        silence(voice, LOW)
        phone.command("resume")
        listen(voice, LOW, 2)
        phone.command("hangup")
        callee.answer(callee.wait_for("BYE"), 200, "OK")
    seconds, tone = phone.heard(HIGH)
    check(seconds > 1.5 and tone > WHOLE, f"once resumed it heard {seconds:.1f} s, {tone:.3f} of it {HIGH} Hz")
    case.finish()


@flow("srtp", name="srtp-answers", transports=["tcp"], seconds=4)
def srtp_answers(case, tls=False):
    certificate = start_encrypted(case, "callee", tls)
    net = case.network
    with Caller(net, case.transport) as caller, Voice(net.caller, 6000, LOW) as voice, \
            Baresip(case, net.callee, CALLEE_PORT, DIALLED, HIGH, "srtp-mand", certificate) as phone:
        caller.invite()
        answer = caller.answered()
        check("RTP/AVP" in answer.body and "crypto" not in answer.body, f"keys are for a leg: {answer.body}")
        voice.speak_to(net.bridge, port(answer))
        phone.wait_for("CALL_ESTABLISHED")
        listen(voice, HIGH, 2)
        phone.command("hangup")
        caller.answer(caller.wait_for("BYE"), 200, "OK")
    seconds, tone = phone.heard(LOW)
    check(seconds > 1.5 and tone > WHOLE, f"baresip heard {seconds:.1f} s, {tone:.3f} of it {LOW} Hz")
    case.finish(ended_by="callee")


@flow("srtp", name="srtp-over-tls-calls", transports=["tcp"], seconds=6)
def srtp_over_tls_calls(case):
    srtp_calls(case, tls=True)


@flow("srtp", name="srtp-over-tls-answers", transports=["tcp"], seconds=4)
def srtp_over_tls_answers(case):
    srtp_answers(case, tls=True)


def start_encrypted(case, phone, tls):
    """The bridge, which requires SRTP of the peer that baresip plays; returns baresip's certificate, if any."""
    srtp = "srtp = \"require\"" + ("" if tls else "\nsrtp_over_cleartext = true")
    trusted = "trust_address = true\nchallenge = false"
    if (phone == "caller") == (case.direction == TO_RETELL):
        case.start(phone=phone, trunk=srtp, tls=tls)
    else:
        case.start(phone=phone, retell=f"{trusted}\n{srtp}", tls=tls)
    return case.folder / f"{phone}.both.pem" if tls else None


@flow("audio", transports=["udp"], seconds=3)
def audio(case):
    case.start()
    (case.folder / "tone.ulaw").write_bytes(tone(LOW, 3))
    case.call()
    record = case.finish()
    for leg in record["legs"]:
        counts = leg["packets_received"], leg["packets_sent"]
        check(min(counts) >= 90 and not leg["packets_lost"], f"received, sent {counts}: {record['legs']}")


@flow("audio", transports=["udp"], name="audio-echo", seconds=4)
def audio_echo(case):
    case.start()
    net = case.network
    sipp = case.callee("uas-echo", *ONE_CALL, "-rtp_echo", "-mp", "7000")
    with Caller(net) as caller, Voice(net.caller, 6000, LOW) as voice:
        caller.invite()
        voice.speak_to(net.bridge, port(caller.answered()))
        listen(voice, LOW, 2)
        caller.hang_up()
    sipp.finish()
    case.finish()


@flow("info-digits", [TO_RETELL], seconds=2)
def info_digits(case):
    """A trunk without telephone events sends its keys by INFO; Retell hears them as events, each once."""
    case.start()
    net = case.network
    with Caller(net, case.transport) as caller, Callee(net, case.transport) as callee, \
            Voice(net.caller, 6000, LOW) as near, Voice(net.callee, 7000, HIGH) as far:
        caller.invite(body=sdp(net.caller, formats="0 8"))
        invite = callee.wait_for("INVITE")
        callee.accept(invite)
        near.speak_to(net.bridge, port(caller.answered()))
        far.speak_to(net.bridge, port(invite))
        listen(far, LOW, 1)
        for cseq, content, body, key in ((2, "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", 5),
                                         (3, "application/dtmf", "#", 11)):
            caller.request("INFO", cseq, content=content, body=body).expect(200, "INFO")
            digit(far, key)
            time.sleep(0.3)
            digit(far, key)
            far.digits.clear()
        callee.nothing_comes("INFO", 0.1)
        caller.request("BYE", 4)
        callee.answer(callee.wait_for("BYE"), 200, "OK")
        caller.expect(200, "BYE")
    case.finish()


@flow("resumed-media", transports=["udp"], seconds=4)
def resumed_media(case):
    """A holder whose clock stood still meanwhile is heard from its first packet on, however it held."""
    case.start()
    net = case.network
    with Caller(net) as caller, Callee(net) as callee, \
            Voice(net.caller, 6000, LOW) as near, Voice(net.callee, 7000, MIDDLE) as far:
        caller.invite()
        invite = callee.wait_for("INVITE")
        callee.accept(invite)
        near.speak_to(net.bridge, port(caller.answered()))
        far.speak_to(net.bridge, port(invite))
        trunk_calls = case.direction == TO_RETELL
        holder, listener, address = (near, far, net.caller) if trunk_calls else (far, near, net.callee)
        listen(listener, holder.hz, 1)
        for turn, held in enumerate((sdp(address, holder.port, direction="sendonly"),
                                     sdp(address, holder.port).replace(f"c=IN IP4 {address}", "c=IN IP4 0.0.0.0"),
                                     sdp(address, 0))):
            for body in (held, sdp(address, holder.port)):
                cseq = 2 + 2 * turn + (body is not held)
                if trunk_calls:
                    caller.request("INVITE", cseq, body=body).answered(cseq=cseq)
                else:
                    callee.reinvite(cseq, invite, body)
                if body is held:
                    holder.hold()
                    time.sleep(0.5)
                    listener.hears(holder.hz)
            first = holder.resume()
            time.sleep(0.2)
            words = listener.words()
            check(words[:1] == [first], f"the first packet after hold {turn + 1} was lost; {len(words)} came")
        caller.request("BYE", 9)
        callee.answer(callee.wait_for("BYE"), 200, "OK")
        caller.expect(200, "BYE")
    case.finish()


@flow("moved-media", seconds=4)
def moved_media(case):
    case.start()
    net = case.network
    with Caller(net, case.transport) as caller, Callee(net, case.transport) as callee, \
            Voice(net.caller, 6000, LOW) as before, Voice(net.caller, 6002, MIDDLE) as after, \
            Voice(net.callee, 7000, HIGH) as far:
        caller.invite()
        invite = callee.wait_for("INVITE")
        callee.accept(invite)
        ours = port(caller.answered())
        before.speak_to(net.bridge, ours)
        far.speak_to(net.bridge, port(invite))
        listen(far, LOW, 1)
        listen(before, HIGH, 1)
        caller.request("INVITE", 2, body=sdp(net.caller, 6002)).answered(cseq=2)
        before.pause()
        after.speak_to(net.bridge, ours)
        listen(after, HIGH, 1)
        listen(far, MIDDLE, 1)
        before.hears(HIGH)
        time.sleep(0.5)
        check(before.hears(HIGH)[0] == 0, "audio still goes to the old port")
        callee.nothing_comes("INVITE", 0.1)
        caller.request("BYE", 3)
        callee.answer(callee.wait_for("BYE"), 200, "OK")
        caller.expect(200, "BYE")
    case.finish()


@flow("ringback", transports=["udp"], seconds=4)
def ringback(case):
    generates = "profile = { ringback = \"generate\" }"
    trusted = "trust_address = true\nchallenge = false"
    if case.direction == TO_RETELL:
        case.start(trunk=f"country = \"US\"\n{generates}")
    else:
        case.start(retell=f"{trusted}\n{generates}", trunk="country = \"US\"")
    net = case.network
    with Caller(net, case.transport) as caller, Callee(net, case.transport) as callee, \
            Voice(net.caller, 6000, LOW) as near, Voice(net.callee, 7000, HIGH) as far:
        caller.invite()
        invite = callee.wait_for("INVITE")
        callee.answer(invite, 180, "Ringing")
        early = caller.expect(183)
        time.sleep(1.5)
        lasted, low, high = near.hears_both(LOW, 480)
        check(lasted > 1.3 and min(low, high) > 0.45, f"{lasted:.1f} s of ringing, {low:.2f} and {high:.2f} of it")
        callee.accept(invite)
        answer = caller.answered()
        check(answer.body == early.body, f"the session changed by the answer: {early.body} {answer.body}")
        far.speak_to(net.bridge, port(invite))
        listen(near, HIGH, 1)
        caller.hang_up()
        callee.answer(callee.wait_for("BYE"), 200, "OK")
    case.finish()


def port(message):
    return int(re.search(r"^m=audio (\d+)", message.body, re.M).group(1))


def listen(voice, hz, seconds):
    """For so long nothing but this tone comes, once whoever speaks is known by address."""
    time.sleep(KNOWN)
    voice.hears(hz)
    time.sleep(seconds)
    lasted, tone = voice.hears(hz)
    came = f"{lasted:.1f} of {seconds} s came, {tone:.3f} of it {hz} Hz"
    check(lasted > 0.9 * seconds and tone > WHOLE, came)


def holds_and_resumes(phone, voice, near, far):
    """The telephone's tone ends and comes back; what it heard until it held was the far one's alone."""
    phone.command("hold")
    silence(voice, near)
    seconds, tone = phone.heard(far)
    check(seconds > 2 and tone > WHOLE, f"until it held it heard {seconds:.1f} s, {tone:.3f} of it {far} Hz")
    phone.command("resume")
    listen(voice, near, 2)


def silence(voice, hz):
    """The tone ends, whether silence comes or nothing."""
    time.sleep(0.5)
    voice.hears(hz)
    time.sleep(1)
    lasted, tone = voice.hears(hz)
    check(tone < 0.01, f"{lasted:.1f} s came, {tone:.3f} of it {hz} Hz")


def digit(voice, wanted):
    deadline = time.monotonic() + 3
    while not voice.digits:
        check(time.monotonic() < deadline, "no digit came")
        time.sleep(0.05)
    check([digit for digit, _ in voice.digits] == [wanted], f"digits {voice.digits}")
