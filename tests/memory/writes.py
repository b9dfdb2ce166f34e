"""The verbs that write: create, replace, apply, merge patch, delete."""

import dataclasses
from typing import Any

from tests.memory import allocation, forms, managers, scale, strategy, typed
from tests.memory.core import CRDS, NAMESPACES, Ask, Core, is_over
from tests.memory.managers import Writer
from tests.memory.refusal import MODIFIED, Cause, bad, broken, conflict, exists, forbidden, invalid, not_found
from tests.memory.storage import Object

Answer = tuple[int, Object]


def create(core: Core, ask: Ask) -> Answer:
    """POST."""
    obj = _body(ask)
    meta = obj["metadata"]
    if not meta.get("name"):
        meta = {**meta, "name": _generated(core, ask, meta)}
    ask = dataclasses.replace(ask, name=meta["name"])
    obj = _checked(ask, {**obj, "metadata": _placed(ask, meta)})
    _may_create(core, ask)
    known = core.storage.get(ask.kind.resource, ask.namespace, ask.name)
    if known is not None:
        raise exists(ask.kind.what(ask.name), "deletionTimestamp" in known["metadata"])
    return 201, _insert(core, ask, _tracked(core, ask, None, forms.shaped(ask.kind, obj)))


def replace(core: Core, ask: Ask) -> Answer:
    """PUT of an object, or of its status or scale."""
    obj = _body(ask)
    obj = _checked(ask, {**obj, "metadata": _placed(ask, obj["metadata"])})
    new = (ask.kind.group, ask.kind.kind) in strategy.CREATED_BY_PUT and not ask.subresource
    found = core.storage.get(ask.kind.resource, ask.namespace, ask.name)
    uid, there = obj["metadata"].get("uid"), found["metadata"]["uid"] if found else ""
    if uid and uid != there and (found or new):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {there}"
        raise conflict(ask.kind.what(ask.name), why)
    if found is None and new:
        return create(core, ask)
    old = _existing(core, ask)
    _same_object(ask, old, obj)
    version = obj["metadata"].get("resourceVersion")
    if not version and (ask.kind.custom is not None or (ask.kind.group, ask.kind.kind) in strategy.CONDITIONAL):
        words = "Invalid value: 0: must be specified for an update"
        what = dataclasses.replace(ask.kind.what(ask.name), kind=ask.kind.plural)
        raise invalid(what, [Cause("FieldValueInvalid", words, "metadata.resourceVersion")])
    return 200, _update(core, ask, old, _tracked(core, ask, old, forms.shaped(ask.kind, obj)))


def patch(core: Core, ask: Ask) -> Answer:
    """JSON merge patch."""
    old = _existing(core, ask)
    if not isinstance(ask.body, dict):
        raise bad("the patch is no JSON object")
    obj = _merged(old, ask.body)
    _same_object(ask, old, obj)
    return 200, _update(core, ask, old, _tracked(core, ask, old, forms.shaped(ask.kind, _checked(ask, obj))))


def _merged(old: Any, new: Any) -> Any:
    """RFC 7396."""
    if not isinstance(new, dict):
        return new
    out = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = _merged(out.get(name), value)
    return out


def apply(core: Core, ask: Ask) -> Answer:
    """Server-side apply of an object or its status."""
    if not ask.query.get("fieldManager"):
        words = "Required value: is required for apply patch"
        what = strategy.PATCH_OPTIONS
        raise invalid(what, [Cause("FieldValueRequired", words, "fieldManager")])
    if ask.subresource == "scale":
        return 200, _apply_scale(core, ask)
    patch = _patch_body(ask)
    old = core.storage.get(ask.kind.resource, ask.namespace, ask.name)
    if old is None:
        return 201, _apply_new(core, ask, patch)
    new = forms.shaped(ask.kind, _applied(core, ask, old, patch))
    _same_object(ask, old, new)
    return 200, _update(core, ask, old, new)


def _apply_scale(core: Core, ask: Ask) -> Object:
    given = ask.body if isinstance(ask.body, dict) else {}
    ask = dataclasses.replace(ask, body={**given, "metadata": _placed(ask, given.get("metadata") or {})})
    parent, _ = scale.applied(core, ask)
    old = _existing(core, ask)
    stored = _update(core, dataclasses.replace(ask, subresource=""), old, parent)
    return scale.shown(ask.kind, stored)


def _apply_new(core: Core, ask: Ask, patch: Object) -> Object:
    what = ask.kind.what(ask.name)
    if ask.subresource:
        raise not_found(what)
    new = _applied(core, ask, None, patch)
    uid = patch["metadata"].get("uid")
    if uid:
        raise conflict(what, f"uid mismatch: the provided object specified uid {uid}, and no existing object was found")
    _may_create(core, ask)
    return _insert(core, ask, forms.shaped(ask.kind, new))


def _applied(core: Core, ask: Ask, old: Object | None, patch: Object) -> Object:
    live = {**old, "apiVersion": ask.kind.api_version} if old is not None else None
    try:
        typed.check(ask.kind.type, patch)
        who, zero = _writer(core, ask), forms.zero(ask.kind)
        new = managers.applied(ask.kind.type, live, patch, who, zero, force=ask.query.get("force") == "true")
    except typed.Untyped as error:
        given = (ask.body or {}).get("metadata") or {}
        where = f"{given.get('namespace', '')}/{given.get('name', '')}; {ask.kind.api_version}, Kind={ask.kind.kind}"
        raise broken(f"failed to create typed patch object ({where}): {error}") from None
    return {**new, "apiVersion": ask.kind.api_version, "kind": ask.kind.kind}


def _patch_body(ask: Ask) -> Object:
    if not isinstance(ask.body, dict):
        raise bad("error decoding YAML: the patch is no object")
    patch: Object = ask.body
    wanted = {"apiVersion": ask.kind.api_version, "kind": ask.kind.kind}
    for name, value in wanted.items():
        if patch.get(name) != value:
            raise bad(f"the patch's {name} is {patch.get(name)!r}, not {value!r}")
    meta = patch.get("metadata") or {}
    if meta.get("managedFields"):
        raise bad("metadata.managedFields must be nil")
    return {**patch, "metadata": _placed(ask, meta)}


# Delete


def delete(core: Core, ask: Ask) -> Answer:
    """DELETE of one object: a Status where it is gone, the object where it still has something to do."""
    old = _existing(core, ask)
    options = {**(ask.body if isinstance(ask.body, dict) else {})}
    options |= {name: ask.query[name] for name in ("propagationPolicy",) if name in ask.query}
    _preconditions(ask, old, options.get("preconditions") or {})
    doomed = _doomed(core, ask, old, options)
    if ask.dry_run or options.get("dryRun") == ["All"]:
        return 200, (doomed if not is_over(doomed) or ask.kind.resource in strategy.RETURNED else _success(ask, old))
    if is_over(doomed):
        core.remove(ask.kind, doomed)
        return 200, (old if ask.kind.resource in strategy.RETURNED else _success(ask, old))
    stored = old if typed.same(doomed, old) else core.storage.put(ask.kind.resource, doomed)
    return 200, stored


def _preconditions(ask: Ask, old: Object, given: Object) -> None:
    """What a DELETE says the object must be."""
    for name, field in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted, there = given.get(name), old["metadata"][name]
        if wanted is not None and wanted != there:
            why = (
                f"the {field} in the precondition ({wanted}) does not match the {field} in record ({there}). "
                "The object might have been deleted and then recreated"
            )
            raise conflict(dataclasses.replace(ask.kind.what(ask.name), plural=ask.kind.kind), why)


def _doomed(core: Core, ask: Ask, old: Object, options: Object) -> Object:
    """The object as a deletion marks it; itself where it is marked already."""
    wish = options.get("propagationPolicy", "")
    if "deletionTimestamp" in old["metadata"] and not wish:
        return old
    finalizers = [one for one in old["metadata"].get("finalizers", []) if not wish or one not in _PROPAGATION.values()]
    policy = _PROPAGATION.get(wish)
    finalizers += [policy] if policy else []
    finalizers += [CLEANUP] if ask.kind.resource == CRDS and CLEANUP not in finalizers else []
    meta = {**old["metadata"], "deletionTimestamp": core.now(), "deletionGracePeriodSeconds": 0}
    meta = {name: value for name, value in meta.items() if name != "finalizers"}
    meta |= {"finalizers": finalizers} if finalizers else {}
    if "deletionTimestamp" in old["metadata"]:
        meta["deletionTimestamp"] = old["metadata"]["deletionTimestamp"]
    elif strategy.has_generation(ask.kind):
        meta["generation"] = meta.get("generation", 0) + 1
    doomed = {**old, "metadata": meta}
    if ask.kind.resource == NAMESPACES:
        del meta["deletionGracePeriodSeconds"]
        doomed["status"] = {"phase": "Terminating"}
    return doomed


CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_PROPAGATION = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


def _success(ask: Ask, old: Object) -> Object:
    details = ask.kind.what(ask.name).details(uid=old["metadata"]["uid"])
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


# Parts


def _body(ask: Ask) -> Object:
    if not isinstance(ask.body, dict):
        raise bad("the object provided is unrecognized (must be of type " + ask.kind.kind + ")")
    given = (ask.body.get("apiVersion", ask.kind.api_version), ask.body.get("kind", ask.kind.kind))
    if given != (ask.kind.api_version, ask.kind.kind):
        raise bad(f"{ask.kind.kind} in version {ask.kind.version!r} cannot be handled as a {given[1]}: {given[0]}")
    return {**ask.body, "apiVersion": given[0], "kind": given[1], "metadata": ask.body.get("metadata") or {}}


def _generated(core: Core, ask: Ask, meta: Object) -> str:
    if meta.get("generateName"):
        return f"{meta['generateName']}{core.uid()[3:8]}"
    raise invalid(
        ask.kind.what(),
        [Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")],
    )


def _placed(ask: Ask, meta: Object) -> Object:
    """The metadata with the name and namespace of the URL; raises Refusal where they differ."""
    if meta.get("name", ask.name) != ask.name:
        raise bad(f"the name of the object ({meta['name']}) does not match the name on the URL ({ask.name})")
    if meta.get("namespace", ask.namespace) != ask.namespace:
        raise bad(
            f"the namespace of the provided object does not match the namespace sent on the request ({meta['namespace']})"
        )
    return {**meta, "name": ask.name} | ({"namespace": ask.namespace} if ask.namespace else {})


def _may_create(core: Core, ask: Ask) -> None:
    """The namespace is there and not going (admission plugin NamespaceLifecycle)."""
    if not ask.kind.namespaced:
        return
    home = core.storage.get(NAMESPACES, "", ask.namespace)
    if home is None:
        raise not_found(core.named("", "Namespace").what(ask.namespace))  # type: ignore[union-attr]
    if "deletionTimestamp" in home["metadata"]:
        why = f"unable to create new content in namespace {ask.namespace} because it is being terminated"
        cause = Cause("NamespaceTerminating", f"namespace {ask.namespace} is being terminated", "metadata.namespace")
        raise forbidden(ask.kind.what(ask.name), why, [cause])


def _existing(core: Core, ask: Ask) -> Object:
    found = core.storage.get(ask.kind.resource, ask.namespace, ask.name)
    if found is None:
        raise not_found(ask.kind.what(ask.name))
    return {**found, "apiVersion": ask.kind.api_version}


def _same_object(ask: Ask, old: Object, new: Object) -> None:
    """The write means this object, at this version where it names one."""
    version = new["metadata"].get("resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(ask.kind.what(ask.name), MODIFIED)


def _checked(ask: Ask, obj: Object) -> Object:
    """The object without fields its type lacks; raises Refusal for them where the request is strict."""
    unknown: list[str] = []
    out = forms.known(ask.kind.type, obj, "", unknown)
    if unknown and ask.query.get("fieldValidation") == "Strict":
        told = ", ".join(f'unknown field "{path}"' for path in unknown)
        kind = ask.kind.kind
        raise bad(
            f'{kind} in version "{ask.kind.version}" cannot be handled as a {kind}: strict decoding error: {told}'
        )
    return dict(out)


def _writer(core: Core, ask: Ask) -> Writer:
    return Writer(
        ask.manager, ask.kind.api_version, core.now(), ask.subresource, strategy.reset(ask.kind, ask.subresource)
    )


def _tracked(core: Core, ask: Ask, old: Object | None, new: Object) -> Object:
    try:
        return managers.updated(ask.kind.type, old, new, _writer(core, ask), forms.zero(ask.kind))
    except ValueError:  # a list by key that cannot be one: the server writes the object and tracks nothing
        return new


def _insert(core: Core, ask: Ask, obj: Object) -> Object:
    uid = core.uid() if not ask.dry_run else "00000000-0000-4000-8000-000000000000"
    made = allocation.allocated(core, ask.kind, None, strategy.born(ask.kind, obj, uid, core.now()))
    strategy.refuse(ask.kind, made)
    if not ask.dry_run:
        return core.store(ask.kind, made)
    version = obj["metadata"].get("resourceVersion")
    return {**made, "metadata": {**made["metadata"], **({"resourceVersion": version} if version else {})}}


def _update(core: Core, ask: Ask, old: Object, new: Object) -> Object:
    made = allocation.allocated(core, ask.kind, old, strategy.changed(ask.kind, old, new, ask.subresource))
    apart = ask.subresource == "status" and ask.kind.custom is not None  # its metadata is not read
    strategy.refuse_change(ask.kind, old, made, "" if apart else str(new["metadata"].get("uid") or ""))
    if _is_same(old, made):
        return old
    return made if ask.dry_run else core.store(ask.kind, made)


def _is_same(old: Object, new: Object) -> bool:
    """Whether nothing but the times of managers differs: the server then writes nothing."""
    if not typed.same(managers.bare(old), managers.bare(new)):
        return False
    return _timeless(old) == _timeless(new)


def _timeless(obj: Object) -> list[Object]:
    listed = obj["metadata"].get("managedFields") or []
    found = [{name: value for name, value in one.items() if name != "time"} for one in listed]
    return sorted(
        found, key=lambda one: (one["manager"], one["operation"], one["apiVersion"], one.get("subresource", ""))
    )
