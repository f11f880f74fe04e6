"""What OpenAPI has no words for, told to schemathesis. No check is left out: what is generated is made valid where it is meant
to be valid, so that every refusal of it is a failure."""
import json
import os

import schemathesis

# What lies in the table that is asked: ids, tax ids and so on, so that answers are found and not only 404.
KNOWN = json.loads(os.environ["NOTAFLUX_KNOWN"])
LISTED = ("issuer", "recipient", "month", "status")


def known(name, number):
    values = KNOWN[name]
    return values[number % len(values)]


def is_meant_to_be_valid(case):
    return case.meta is None or not case.meta.generation.mode.is_negative


def number_of(case):
    """A number that differs from case to case and not from run to run."""
    return sum(str((case.path, case.query)).encode())


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes a case that is meant to be valid one that is."""
    if not is_meant_to_be_valid(case):
        return
    number, query = number_of(case), case.query if isinstance(case.query, dict) else {}
    # A cursor is one that an answer has given: only those that come by a link of an answer are.
    if "cursor" in query and not case.is_linked:
        del query["cursor"]


@schemathesis.hook
def map_path_parameters(context, parameters):
    """Of every two ids one is in the table."""
    if parameters and "id" in parameters and len(str(parameters["id"])) % 2:
        name = "ingestion" if "ingestions" in context.operation.path else "invoice"
        parameters["id"] = known(name, len(str(parameters["id"])))
    return parameters
