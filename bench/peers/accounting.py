"""Epsilons and calibrated noise by dp_accounting, one request a line of JSON, for bench/accounting.ts."""

import json
import sys
import time

from dp_accounting import dp_event
from dp_accounting.mechanism_calibration import ExplicitBracketInterval, calibrate_dp_mechanism
from dp_accounting.pld import pld_privacy_accountant


def event(q, sigma, steps):
    gaussian = dp_event.GaussianDpEvent(sigma)
    step = gaussian if q == 1 else dp_event.PoissonSampledDpEvent(q, gaussian)
    return dp_event.SelfComposedDpEvent(step, steps)


def answer(request):
    q, steps, delta = request["q"], request["steps"], request["delta"]
    if request["what"] == "epsilon":
        accountant = pld_privacy_accountant.PLDAccountant()
        accountant.compose(event(q, request["sigma"], steps))
        return accountant.get_epsilon(delta)
    # The settings with which the shared vectors were made: grid 1e-3, tolerance 1e-5.
    return calibrate_dp_mechanism(
        lambda: pld_privacy_accountant.PLDAccountant(value_discretization_interval=1e-3),
        lambda sigma: event(q, sigma, steps),
        request["epsilon"],
        delta,
        ExplicitBracketInterval(0.3, 50.0),
        tol=1e-5,
    )


for line in sys.stdin:
    started = time.perf_counter()
    value = answer(json.loads(line))
    print(json.dumps({"value": value, "seconds": time.perf_counter() - started}), flush=True)
