"""What the gateway gives: the bindings that componentize-py generates in a component, `_native` elsewhere.

Each world has some of the interfaces; those that it lacks are never called in it.
"""

# mypy: ignore-errors
# ruff: noqa: F401
try:
    import wit_world.imports
except ImportError:
    from airlock_adaptor._native import (
        Err,
        batch,
        cluster,
        common,
        endpoint,
        key_value,
        logging,
        replies,
        task_body,
        upstream,
    )
else:
    from componentize_py_types import Err
    from wit_world.imports import common, key_value, logging, upstream

    # A middleware imports and exports `replies`; what it returns has to be of the imported classes, by a bug of
    # componentize-py 0.25, which looks for them there.
    try:
        from wit_world.imports import endpoint, replies, task_body
    except ImportError:
        endpoint = task_body = None
        try:
            from wit_world.exports import replies
        except ImportError:
            replies = None
    try:
        from wit_world.exports import cluster
    except ImportError:
        cluster = None
    try:
        from wit_world.exports import batch
    except ImportError:
        batch = None
