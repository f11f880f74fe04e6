"""Compares the permissions that the template grants to each function with the calls that the function has made."""
from fnmatch import fnmatchcase

import yaml

# Actions that Lambda itself calls with the role of the function. The function's code never calls them.
BY_LAMBDA = {
    "logs:CreateLogStream": "Lambda sends the log lines",
    "logs:PutLogEvents": "Lambda sends the log lines",
    "sqs:ReceiveMessage": "the event source mapping receives messages",
    "sqs:DeleteMessage": "the event source mapping deletes processed messages",
    "sqs:GetQueueAttributes": "the event source mapping reads the queue's attributes",
}


class Template(yaml.SafeLoader):
    """Reads `!Ref x` as {"Ref": "x"}, `!GetAtt x.y` as {"GetAtt": "x.y"}, and so on."""


def intrinsic(loader, name, node):
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Template.add_multi_constructor("!", intrinsic)


def granted(path, role, arns):
    """Returns (action, resource pattern) for each action that the role with this logical id allows."""
    with open(path, encoding="utf-8") as file:
        resources = yaml.load(file, Template)["Resources"]
    grants = []
    for policy in resources[role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow", statement
            for action in listed(statement["Action"]):
                grants += [(action, resolve(resource, arns)) for resource in listed(statement["Resource"])]
    return grants


def listed(value):
    return value if isinstance(value, list) else [value]


def resolve(resource, arns):
    """Returns the ARN of a Ref, GetAtt or Sub, the three forms in the template. It may contain a star."""
    if "GetAtt" in resource:
        return arns[resource["GetAtt"].removesuffix(".Arn")]
    if "Ref" in resource:
        return arns[resource["Ref"]]
    text = resource["Sub"]
    for name, arn in arns.items():
        text = text.replace("${" + name + ".Arn}", arn)
    assert "${" not in text, text
    return text


def not_granted(grants, calls):
    """Returns the calls that the role does not allow."""
    allowed = lambda call: any(call[0] == action and fnmatchcase(call[1], pattern) for action, pattern in grants)
    return sorted(call for call in calls if not allowed(call))


def not_needed(grants, calls):
    """Returns the grants that no call has used."""
    used = lambda grant: any(grant[0] == action and fnmatchcase(arn, grant[1]) for action, arn in calls)
    return sorted(grant for grant in grants if grant[0] not in BY_LAMBDA and not used(grant))
