"""What the template grants to each function, and how that compares with the calls that the function has made."""
from fnmatch import fnmatchcase

import yaml

# Granted, though the function's own code never calls it: Lambda calls it with the function's role.
BY_LAMBDA = {
    "logs:CreateLogStream": "Lambda sends the log lines",
    "logs:PutLogEvents": "Lambda sends the log lines",
    "sqs:ReceiveMessage": "the event source mapping takes messages",
    "sqs:DeleteMessage": "the event source mapping deletes what was worked on",
    "sqs:GetQueueAttributes": "the event source mapping looks at the queue",
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
    """(action, pattern of resources) for each action that the role of this logical id allows."""
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
    """The ARN, perhaps with a star, behind the three forms that the template uses."""
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
    """Calls that the role does not allow."""
    allowed = lambda call: any(call[0] == action and fnmatchcase(call[1], pattern) for action, pattern in grants)
    return sorted(call for call in calls if not allowed(call))


def not_needed(grants, calls):
    """Grants that nothing has used."""
    used = lambda grant: any(grant[0] == action and fnmatchcase(arn, grant[1]) for action, arn in calls)
    return sorted(grant for grant in grants if grant[0] not in BY_LAMBDA and not used(grant))
