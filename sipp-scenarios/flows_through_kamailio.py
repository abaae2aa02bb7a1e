"""The flows in which Kamailio stands between the bridge and the telephones of a trunk: its registrar, or its outbound proxy.

Telephones speak UDP with Kamailio, and Kamailio the transport of the case with the bridge: over TCP it stands in Record-Route
twice. No peer allows its address.
"""

import json

from case import TO_RETELL, TO_TRUNK, flow
from harness import DIALLED, ONE_CALL, SIP_PORT, check, until
from kamailio import Kamailio

CREDENTIALS = 'username = "acct"\npassword = "s3cret-of-kamailio"'
SHARED = "+14155550102"


@flow("kamailio", [TO_RETELL], name="kamailio-registrar", seconds=14)
def registrar(case):
    """Retell is called by what stands in Kamailio's location table, and by nothing else."""
    with Kamailio(case) as kamailio:
        start(case, registered(uri(case)))
        first = kamailio.binding()
        names_nobody(case, first["Address"])
        phone, retell = call(case)
        routed(case, phone.response(200), "the answer")
        check(retell.got("INVITE")[0].uri().startswith(f"sip:{DIALLED}@"), f"dialled {retell.got('INVITE')[0].uri()}")
        call(case, "uac-hung-up", "uas-hanging-up")
        check(kamailio.renewed(first)["Call-ID"] == first["Call-ID"], "a refresh has another Call-ID")
        phone, retell = begin(case, "uac-hung-up", "uas-called")
        standing = up(case)
        kamailio.stop()
        kamailio.start()
        case.bridge.delete(f"/v1/calls/{standing}")
        end(case, phone, retell)
        kamailio.binding(timeout=15)
        call(case, "uac-calling", "uas-called")
        case.finish(calls=4)
        check(not kamailio.bindings(), f"left behind: {kamailio.bindings()}")


@flow("kamailio", [TO_RETELL], name="kamailio-registrar-restarts", seconds=9)
def registrar_restarts(case):
    """The binding would be renewed long after the end of this, if nobody saw that Kamailio was away."""
    with Kamailio(case, "STRICT") as kamailio:
        start(case, by_proxy(case), registered("sip:kamailio.example"), "options_s = 1")
        expires = kamailio.binding()["Expires"]
        check(100 < expires <= 120, f"bound for {expires} s")
        probed(case, "up")
        kamailio.stop()
        probed(case, "down")
        kamailio.start()
        kamailio.binding()
        call(case, "uac-calling", "uas-called")
        case.finish()
        check(not kamailio.bindings(), f"left behind: {kamailio.bindings()}")


@flow("kamailio", [TO_TRUNK], name="kamailio-proxy", seconds=8)
def proxy(case):
    with Kamailio(case):
        start(case, by_proxy(case))
        retell, phone = call(case)
        invites = phone.got("INVITE")
        check(len(invites) == 1 and invites[0].one("CSeq") == "2 INVITE", "not one INVITE, the second after a challenge")
        check(not invites[0].all("Proxy-Authorization"), "the credentials went on to the telephone")
        check(not {401, 407} & set(retell.statuses()), f"the challenge reached the caller: {retell.statuses()}")
        routed(case, invites[0], "the INVITE")
        call(case, "uac-hung-up", "uas-hanging-up")
        retell, _ = call(case, "uac-refused", "uas-busy")
        check(retell.statuses()[-1] == 486, f"the caller got {retell.statuses()}")
        call(case, "uac-cancelling", "uas-cancelled")
        other = case.callee("uas-cancelled", address=case.network.second, transport="udp")
        retell, _ = call(case, "uac-calling", "uas-ringing", "-s", SHARED)
        other.finish()
        check(retell.statuses() == [100, 180, 183, 200], f"the caller got {retell.statuses()}")
        case.finish(calls=3, refused=2)


@flow("kamailio", [TO_TRUNK], name="kamailio-service-route", seconds=3)
def service_route(case):
    """The trunk's address is the telephone's; that Kamailio stands before it is known from the registration."""
    with Kamailio(case) as kamailio:
        start(case, registered(uri(case)))
        kamailio.binding()
        _, phone = call(case, "uac-calling", "uas-called")
        check(phone.got("INVITE")[0].one("CSeq") == "2 INVITE", "not the INVITE after a challenge")
        case.finish()


@flow("kamailio", [TO_TRUNK], name="kamailio-proxy-restarts", seconds=8)
def proxy_restarts(case):
    with Kamailio(case) as kamailio:
        start(case, by_proxy(case), "options_s = 1")
        probed(case, "up")
        retell, phone = begin(case, "uac-hung-up", "uas-called")
        standing = up(case)
        kamailio.stop()
        probed(case, "down")
        kamailio.start()
        probed(case, "up")
        case.bridge.delete(f"/v1/calls/{standing}")
        end(case, retell, phone)
        call(case, "uac-calling", "uas-called")
        case.finish(calls=2)


def start(case, *keys):
    """The trunk has an address of its own too: the telephone's."""
    case.start(trunk="\n".join([CREDENTIALS, *keys]))


def uri(case):
    return f"sip:{case.network.proxy}:{SIP_PORT};transport={case.transport}"


def registered(registrar):
    return f'register = true\nregister_expires_s = 60\nregistrar = "{registrar}"'


def by_proxy(case):
    return f'outbound_proxy = "{uri(case)};lr"'


def begin(case, caller, callee, *options):
    """Kamailio's side by way of Kamailio, the other one directly; returns both."""
    if case.direction == TO_RETELL:
        callee = case.callee(callee)
        return case.caller(caller, remote=case.network.proxy, transport="udp"), callee
    callee = case.callee(callee, transport="udp")
    return case.caller(caller, *(ONE_CALL if options else ()), *options), callee


def call(case, caller="uac", callee="uas", *options):
    return end(case, *begin(case, caller, callee, *options))


def end(case, caller, callee):
    """Both, once their scenarios are over; all that the telephone was asked came by Kamailio."""
    caller.finish()
    callee.finish()
    telephone = caller if case.direction == TO_RETELL else callee
    for message in telephone.messages():
        asked = not message.sent and not message.start.startswith("SIP/")
        check(not asked or case.network.proxy in message.all("Via")[0], f"not by Kamailio: {message.start}")
    return caller, callee


def up(case):
    """The id of the one call, once it is answered."""
    def answered():
        return next((call["id"] for call in json.loads(case.bridge.get("/v1/calls")) if call["answered"]), None)
    return until(answered, "answered call")


def probed(case, state):
    """Kamailio is in this state for the bridge."""
    def states():
        trunks = json.loads(case.bridge.get("/v1/trunks"))
        return [target["state"] for trunk in trunks if trunk["name"] == "carrier" for target in trunk["targets"]]
    until(lambda: states() == [state], f"probe that tells {state}")


def names_nobody(case, contact):
    """It can't be guessed: its user part is neither the account nor a number."""
    user, _, host = contact.removeprefix("sip:").partition("@")
    check(len(user) >= 16 and "acct" not in user, f"registered {contact}")
    check(host.startswith(f"{case.network.bridge}:{SIP_PORT}"), f"registered {contact}")


def routed(case, message, what):
    """Kamailio stays in the way: once, or at both transports."""
    hops = [hop for value in message.all("Record-Route") for hop in value.split(",")]
    wanted = {"udp": 1, "tcp": 2}[case.transport]
    check(len(hops) == wanted and all(case.network.proxy in hop for hop in hops), f"Record-Route {hops} in {what}")
