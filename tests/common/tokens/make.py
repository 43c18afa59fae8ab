#!/usr/bin/env python3
"""Makes the keys and tokens of this folder with openssl, a second implementation of every algorithm.

The keys are for tests and protect nothing. Run it in this folder only to replace all of them.
"""

import base64
import json
import os
import subprocess
import tempfile

SECRET = "a secret of tests only; it has the sixty-four bytes of HS512 012"
CLAIMS = {"sub": "42", "iat": 1700000000, "exp": 4000000000}
KEYS = {
    "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "p256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ed25519": ["ED25519"],
    # Kinds that no algorithm here takes.
    "p521": ["EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
    "rsa1024": ["RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
}


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def fixed(der, size):
    """Turns SEQUENCE { INTEGER r, INTEGER s } into r and s of a fixed length, RFC 7518 section 3.4."""
    numbers, at = b"", 2
    for _ in range(2):
        length = der[at + 1]
        numbers += der[at + 2 : at + 2 + length].lstrip(b"\0").rjust(size, b"\0")
        at += 2 + length
    return numbers


def sign(algorithm, message):
    bits = algorithm[2:]
    if algorithm.startswith("HS"):
        return openssl("dgst", f"-sha{bits}", "-hmac", SECRET, "-binary", data=message)
    if algorithm == "EdDSA":
        with tempfile.NamedTemporaryFile() as file:
            file.write(message)
            file.flush()
            return openssl("pkeyutl", "-sign", "-inkey", "ed25519.pem", "-rawin", "-in", file.name)
    key = {"R": "rsa", "P": "rsa", "E": f"p{bits}"}[algorithm[0]]
    padding = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"] if algorithm[0] == "P" else []
    signature = openssl("dgst", f"-sha{bits}", "-sign", f"{key}.pem", *padding, data=message)
    return fixed(signature, int(bits) // 8) if algorithm[0] == "E" else signature


for name, kind in KEYS.items():
    openssl("genpkey", "-algorithm", *kind, "-out", f"{name}.pem")
    openssl("pkey", "-in", f"{name}.pem", "-pubout", "-out", f"{name}.pub.pem")
for name in ("p521", "rsa1024"):
    os.remove(f"{name}.pem")
openssl("req", "-new", "-x509", "-key", "p256.pem", "-subj", "/CN=test", "-days", "36500", "-out", "p256.certificate.pem")
with open("tokens.txt", "w") as tokens:
    for algorithm in "HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA".split():
        header = {"alg": algorithm, "typ": "JWT"}
        message = ".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, CLAIMS))
        tokens.write(f"{algorithm} {message}.{encode(sign(algorithm, message.encode()))}\n")
