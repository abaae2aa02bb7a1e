"""Certificates that vouch for themselves, made by openssl for one case."""

import subprocess


def issue(folder, name, address):
    """`name.pem`, good for `address` and for whoever trusts it, and `name.key`; both in `name.both.pem` too."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "90", "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}",
         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True)
    (folder / f"{name}.both.pem").write_text(certificate.read_text() + key.read_text())
    return certificate
