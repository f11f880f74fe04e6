"""MiniStack 1.5.33 with fixes for two defects. They break versioned buckets and templates with parameters."""
from ministack.app import main
from ministack.services import s3
from ministack.services.cloudformation import provisioners

MAPPING = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
create, get_object = MAPPING["create"], s3._get_object


def create_with_numbers(logical_id, properties, stack_name):
    """Converts numbers. MiniStack left a number from a template parameter as text, and the mapping never polled its queue."""
    scaling = {name: int(value) for name, value in properties.get("ScalingConfig", {}).items()}
    return create(logical_id, {**properties, "ScalingConfig": scaling}, stack_name)


def get_object_by_range(bucket, key, headers, query=None):
    """Applies the range. MiniStack ignored it when the request names a version."""
    status, answer_headers, body = get_object(bucket, key, headers, query)
    found = s3._parse_range(headers.get("range", ""), len(body)) if status == 200 and "versionId" in (query or {}) else None
    if found is None:
        return status, answer_headers, body
    first, last = found
    part = body[first:last + 1]
    # The checksum is that of the whole object, so it does not fit a part.
    kept = {name: value for name, value in answer_headers.items() if not name.lower().startswith("x-amz-checksum")}
    kept |= {"Content-Length": str(len(part)), "Content-Range": f"bytes {first}-{last}/{len(body)}"}
    return 206, kept, part


MAPPING["create"], s3._get_object = create_with_numbers, get_object_by_range
main()
