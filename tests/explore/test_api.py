"""What the page is told is what the Python functions say, and nothing else is answered."""

import http.client
import json
import time

import numpy as np
import pytest
import torch

import pyro_vae
from pyro_vae.data import load_data
from pyro_vae.encoding import encode
from pyro_vae.estimators import active_units
from pyro_vae.explore.opened import ACTIVITY, CODE_DRAWS
from pyro_vae.explore.server import LOOPBACK


def test_it_begins_with_the_data_and_each_run_and_its_most_active_axes(client, runs):
    about = client.ask("start")
    data = load_data("digits")
    assert (about["data"], about["images"], about["shape"]) == ("digits", 250, [8, 8, 1])
    assert about["labels"] == data.test.labels.tolist()
    assert [(one["name"], one["guide"], one["latent_dim"]) for one in about["runs"]] == [
        ("plain", "MeanField", 2),
        ("flow", "Planar", 4),
    ]
    run = pyro_vae.load(runs[1])
    activity = active_units(run.guide, data.test.batch(slice(0, ACTIVITY[0])), ACTIVITY[1]).activity
    assert about["runs"][1]["activity"] == activity.tolist()
    assert about["runs"][1]["axes"] == sorted(activity.argsort(descending=True)[:2].tolist())


def test_the_codes_are_the_posterior_means(client, runs):
    x = load_data("digits").test.batch(slice(None))
    run = pyro_vae.load(runs[0])
    assert np.array_equal(client.ask("codes", run=0), pyro_vae.features(run, x).numpy())
    run = pyro_vae.load(runs[1])
    assert np.array_equal(client.ask("codes", run=1), encode(run.model, run.guide, x, "mean", CODE_DRAWS).numpy())


def test_decoded_images_are_the_means_of_the_decoder(client, runs):
    model = pyro_vae.load(runs[0]).model
    z = [[0.5, -1.25], [0.0, 3.0]]
    with torch.no_grad():
        mean = model.likelihood(model.decode(torch.tensor(z))).mean
    expected = (mean.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1)
    assert np.array_equal(client.ask("decode", run=0, z=z), expected.numpy())
    assert not np.array_equal(expected[0], expected[1])


def test_a_test_image_is_the_stored_one(client):
    stored = load_data("digits").test.batch(slice(7, 8))
    assert np.array_equal(client.ask("image", image=7)[0, ..., 0], (stored[0, 0] * 255 + 0.5).numpy().astype(np.uint8))


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("decode", {"run": 2, "z": [[0, 0]]}, "run is a whole number from 0 to 1, not 2"),
        ("decode", {"run": True, "z": [[0, 0]]}, "not True"),
        ("decode", {"run": 0, "z": [[0]]}, "points of 2 finite numbers"),
        ("decode", {"run": 0, "z": [[0, 1e999]]}, "points of 2 finite numbers"),
        ("decode", {"run": 0, "z": [[0, 10**400]]}, "points of 2 finite numbers"),
        ("decode", {"run": 0, "z": [[0, float("nan")]]}, "points of 2 finite numbers"),
        ("decode", {"run": 0, "z": [[0, "1"]]}, "points of 2 finite numbers"),
        ("decode", {"run": 0, "z": [[0, 0]] * 65}, "1 to 64 points"),
        ("image", {"image": 250}, "from 0 to 249"),
    ],
)
def test_a_wrong_question_is_answered_by_what_is_right(client, name, fields, words):
    assert words in client.ask(name, status=400, **fields)["error"]


def test_only_json_of_a_bearable_size_is_read(client):
    asked = {"method": "POST", "path": "/api/decode"}
    assert client.send(**asked, body="{}", content_type="text/plain")[0] == 415
    assert client.send(**asked, body="[", content_type="application/json")[0] == 400
    assert client.send(**asked, body="[" * 100_000, content_type="application/json")[0] == 400
    assert client.send(**asked, body=json.dumps("x" * 2**21), content_type="application/json")[0] == 413
    assert client.send("GET", "/api/decode")[0] == 405


@pytest.mark.parametrize("path", ["/../explore/opened.py", "/opened.py", "/page/index.html", "/%2e%2e/guard.py"])
def test_no_other_file_is_served(client, path):
    assert client.send("GET", path)[0] == 404


def test_other_names_and_other_pages_are_refused(client):
    own = f"127.0.0.1:{client.port}"
    assert client.send("GET", "/", host=own)[0] == 200
    assert client.send("GET", "/", host=f"localhost:{client.port}", origin=f"http://{own}")[0] == 200
    for headers in ({"host": "evil.example"}, {"host": "127.0.0.1:1"}, {"host": own, "origin": "http://evil.example"}):
        assert client.send("GET", "/", **headers)[0] == 403
    assert client.send("GET", "/", host=own, origin="null")[0] == 403


def test_the_page_may_load_nothing_but_itself(client):
    _, headers, body = client.send("GET", "/")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"http://" not in body
    assert b"https://" not in body


def test_an_answer_does_not_wait_for_the_clients_acknowledgement(client):
    """A socket that does not send at once holds the body back for 40 ms."""
    connection = http.client.HTTPConnection(LOOPBACK, client.port, timeout=60)
    took = []
    for _ in range(60):
        began = time.monotonic()
        body, headers = json.dumps({"run": 0, "z": [[0, 0]]}), {"content-type": "application/json"}
        connection.request("POST", "/api/decode", body, headers)
        connection.getresponse().read()
        took.append(time.monotonic() - began)
    connection.close()
    assert np.quantile(took, 0.25) < 0.035
