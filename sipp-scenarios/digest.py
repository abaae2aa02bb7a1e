"""Digest credentials (RFC 7616) with MD5, computed apart from the bridge's own code."""

import hashlib
import re

from harness import check


def credentials(challenge, username, password, method, uri):
    """As LiveKit computes them; with qop where that was asked for."""
    fields = parameters(challenge)
    qop = ', qop=auth, nc=00000001, cnonce="0a4f113b"' if "auth" in fields.get("qop", "") else ""
    opaque = f', opaque="{fields["opaque"]}"' if "opaque" in fields else ""
    presented = (f'Digest username="{username}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", '
                 f'uri="{uri}", algorithm=MD5{qop}{opaque}')
    return f'{presented}, response="{response(presented, password, method)}"'


def response(presented, password, method):
    """The `response` that belongs into these credentials (§3.4.1)."""
    fields = parameters(presented)
    check(fields.get("algorithm", "MD5").upper() == "MD5", f"not MD5: {presented}")
    secret = md5(f"{fields['username']}:{fields['realm']}:{password}")
    once = f"{fields['nc']}:{fields['cnonce']}:{fields['qop']}:" if "qop" in fields else ""
    return md5(f"{secret}:{fields['nonce']}:{once}" + md5(f"{method}:{fields['uri']}"))


def parameters(header):
    found = re.findall(r'(\w+)=(?:"([^"]*)"|([^",\s]+))', header)
    return {name: quoted or bare for name, quoted, bare in found}


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()
