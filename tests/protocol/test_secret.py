import copy
import dataclasses
import json
import pickle

import pytest

from particle_dev.protocol.messages_radio import WifiCredentials
from particle_dev.protocol.secret import Secret, redact


def test_hidden_in_every_text_form():
    secret = Secret("hunter2")
    forms = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>20}",
        repr([secret]),
        repr(WifiCredentials("n", password=secret)),
    ]
    assert all("hunter2" not in form for form in forms)
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in str(dataclasses.asdict(WifiCredentials("n", password=secret)))
    assert copy.deepcopy(secret) is secret
    assert copy.copy(secret) is secret


def test_does_not_leave_the_process():
    with pytest.raises(TypeError):
        pickle.dumps(Secret("x"))
    with pytest.raises(TypeError):
        json.dumps(Secret("x"))


def test_compares_by_value():
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Device Secret: ABC123\r\nIMEI: 1", "Device Secret: ***\r\nIMEI: 1"),
        ("Claim code set to: abcdef", "Claim code set to: ***"),
        ('{"p":13,"ms":"ABC123","m":[]}', '{"p":13,"ms":"***","m":[]}'),
        ("the password is pw, really", "the password is ***, really"),
        ("nothing here", "nothing here"),
    ],
)
def test_redaction(text, clean):
    assert redact(text, [Secret("pw"), Secret("")]) == clean
