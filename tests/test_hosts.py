"""Host names that clusters make: inside the operator's pattern wherever they are written, and one cluster's each."""

from typing import Any

import pytest

from reconciler.model import Ceilings, Rules, Snapshot, replace
from reconciler.spec import config, hosts
from reconciler.spec.codes import Code
from tests.spec_cases import RULES, snapshot

DNS = "external-dns.alpha.kubernetes.io/"
PATTERN = "*.nested.example.com"
ANY = Ceilings(annotations=(DNS, "service.beta.kubernetes.io/", "load-balancer.hetzner.cloud/"))
OPEN = replace(RULES, ceilings=ANY)
INSIDE = replace(OPEN, dns_pattern=PATTERN)


def cluster(name: str, expose: str) -> str:
    return (
        f"apiVersion: nidus.dev/v1alpha1\nkind: NestedCluster\nmetadata: {{name: {name}}}\nspec:\n  expose: {expose}\n"
    )


def loaded(rules: Rules = INSIDE, accepted: Any = None, **exposed: str) -> Snapshot:
    files = {f"clusters/{name}.yaml": cluster(name, expose) for name, expose in exposed.items()}
    return snapshot(files, rules=rules, accepted=accepted)[0]


def told(found: Snapshot) -> list[tuple[str, Code, str]]:
    return [(one.subject.removeprefix("cluster/"), Code(one.code), one.pointer) for one in found.violations]


def ingress(host: str, more: str = "") -> str:
    return f"{{type: Ingress, host: {host}{more}}}"


def balancer(annotation: str, value: str) -> str:
    return f"{{type: LoadBalancer, annotations: {{{annotation}: '{value}'}}}}"


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("a.nested.example.com", True),
        ("a-1.nested.example.com", True),
        ("nested.example.com", False),
        ("a.b.nested.example.com", False),
        ("a.evil.com", False),
        ("anested.example.com", False),
        ("a.nested.example.com.evil.com", False),
    ],
)
def test_the_host_lies_inside_the_pattern(host: str, fits: bool) -> None:
    assert told(loaded(a=ingress(host))) == ([] if fits else [("a", Code.EXPOSE_HOST, "/spec/expose/host")])
    assert told(loaded(OPEN, a=ingress(host))) == []


@pytest.mark.parametrize(
    "annotation",
    [
        f"{DNS}hostname",
        f"{DNS}internal-hostname",
        f"{DNS}cloudflare-custom-hostname",
        "load-balancer.hetzner.cloud/hostname",
        "load-balancer.hetzner.cloud/http-managed-certificate-domains",
        "load-balancer.hetzner.cloud/public-ipv4-rdns",
        "service.beta.kubernetes.io/do-loadbalancer-hostname",
        "service.beta.kubernetes.io/azure-dns-label-name",
        "service.beta.kubernetes.io/azure-pls-fqdns",
    ],
)
def test_annotations_that_make_names_lie_inside_it_too(annotation: str) -> None:
    place = "/spec/expose/annotations/" + annotation.replace("/", "~1")
    assert told(loaded(a=balancer(annotation, "a.nested.example.com"))) == []
    assert told(loaded(a=balancer(annotation, "a.evil.com"))) == [("a", Code.EXPOSE_HOST, place)]
    assert told(loaded(a=balancer(annotation, "a.nested.example.com,a.evil.com"))) == [("a", Code.EXPOSE_HOST, place)]


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("A.Nested.Example.COM", True),
        ("a.nested.example.com.", True),
        ("a.nested.example.com, b.nested.example.com", True),
        ("", True),
        (" , ", True),
        ("a.nested.example.com..", False),
        ("*.nested.example.com", False),
        ("a.nested.example.com b.nested.example.com", False),  # external-dns takes the spaces out: one other name
        ("-a.nested.example.com", False),
        (f"{'a' * 64}.nested.example.com", False),
        ("\u212a.nested.example.com", False),  # in lower case a plain k
        ("a\u3002nested.example.com", False),
        ("localhost", False),
    ],
)
def test_spellings_of_a_name(value: str, fits: bool) -> None:
    found = told(loaded(a=balancer(f"{DNS}hostname", value)))
    assert [code for _, code, _ in found] == ([] if fits else [Code.EXPOSE_HOST])


def test_what_is_no_host_name_is_refused_without_a_pattern_too() -> None:
    assert [code for _, code, _ in told(loaded(OPEN, a=balancer(f"{DNS}hostname", "*.example.com")))] == [
        Code.EXPOSE_HOST
    ]
    assert [code for _, code, _ in told(loaded(config.anything(), a=balancer(f"{DNS}hostname", "a b")))] == [
        Code.EXPOSE_HOST
    ]


@pytest.mark.parametrize(
    "annotation", [f"{DNS}ttl", f"{DNS}target", "service.beta.kubernetes.io/scw-loadbalancer-use-hostname"]
)
def test_other_annotations_are_no_names(annotation: str) -> None:
    assert told(loaded(a=balancer(annotation, "true"))) == []


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("a.nested.example.com", True),
        ("10.0.0.1", True),
        ("fd00::1", True),
        ("localhost", True),
        ("a.vcluster-a.svc", True),
        ("a.vcluster-a.svc.cluster.local", True),
        ("A.Nested.Example.com.", True),
        ("api.evil.com", False),
        ("*.nested.example.com", False),
        ("10.0.0", False),
    ],
)
def test_names_of_the_certificate_lie_inside_it_unless_nobody_outside_looks_them_up(name: str, fits: bool) -> None:
    found = told(loaded(a=f"{{extraSANs: ['{name}']}}"))
    assert found == ([] if fits else [("a", Code.EXPOSE_HOST, "/spec/expose/extraSANs/0")])


def test_two_new_clusters_with_one_host_name_both_need_another() -> None:
    found = loaded(a=ingress("x.nested.example.com"), b=balancer(f"{DNS}hostname", "X.nested.example.com."), c="{}")
    assert told(found) == [
        ("a", Code.HOST_TAKEN, "/spec/expose/host"),
        ("b", Code.HOST_TAKEN, f"/spec/expose/annotations/{DNS.replace('/', '~1')}hostname"),
    ]
    assert found.violations[0].message == "x.nested.example.com is also the host name of b"
    assert set(found.specs.clusters) == {"c"}


def test_who_was_accepted_with_a_host_name_keeps_it() -> None:
    before = loaded(a=ingress("x.nested.example.com")).specs.clusters
    found = loaded(accepted=before, a=ingress("x.nested.example.com"), b=ingress("x.nested.example.com"))
    assert told(found) == [("b", Code.HOST_TAKEN, "/spec/expose/host")]
    moved = loaded(accepted=before, a=ingress("y.nested.example.com"), b=ingress("x.nested.example.com"))
    assert told(moved) == []


def test_a_host_name_is_told_once_it_is_free() -> None:
    """The clusters of the last tree are remembered, the mistake is not."""
    files = {f"clusters/{name}.yaml": cluster(name, ingress("x.nested.example.com")) for name in "ab"}
    first, known = snapshot(files, rules=INSIDE)
    assert len(first.violations) == 2
    del files["clusters/b.yaml"]
    assert snapshot(files, known, rules=INSIDE)[0].violations == ()


def test_the_names_of_a_cluster_have_one_spelling() -> None:
    found = loaded(
        OPEN, a=ingress("a.example.com", f", annotations: {{{DNS}hostname: 'B.example.com., c.example.com'}}")
    )
    assert hosts.names(found.specs.clusters["a"].cluster) == {"a.example.com", "b.example.com", "c.example.com"}


def test_hosts_of_copied_ingresses_are_names_of_the_cluster_too() -> None:
    def copied(name: str, *names: str) -> str:
        to_host = f"{{ingresses: true, ingressHosts: [{', '.join(names)}]}}"
        return cluster(name, "{}") + f"  sync: {{toHost: {to_host}}}\n"

    rules = replace(INSIDE, ceilings=Ceilings(sync_to_host=("ingresses",)))
    files = {
        "clusters/a.yaml": copied("a", "a.nested.example.com", "b.example.com"),
        "clusters/b.yaml": copied("b", "a.nested.example.com"),
    }
    place = "/spec/sync/toHost/ingressHosts"
    assert sorted(told(snapshot(files, rules=rules)[0])) == [
        ("a", Code.EXPOSE_HOST, f"{place}/1"),
        ("a", Code.HOST_TAKEN, f"{place}/0"),
        ("b", Code.HOST_TAKEN, f"{place}/0"),
    ]


def test_a_domain_above_the_name_of_another_is_not_taken() -> None:
    """The tenant of b may make an Ingress for any name below its own."""
    copied = cluster("b", "{}") + "  sync: {toHost: {ingresses: true, ingressHosts: [example.com]}}\n"
    files = {"clusters/a.yaml": cluster("a", ingress("api.shop.example.com")), "clusters/b.yaml": copied}
    rules = replace(OPEN, ceilings=Ceilings(sync_to_host=("ingresses",)))
    new, _ = snapshot(files, rules=rules)
    assert [one.message for one in new.violations] == [
        "api.shop.example.com meets *.example.com, the host name of b",
        "*.example.com meets api.shop.example.com, the host name of a",
    ]
    before = snapshot({"clusters/a.yaml": files["clusters/a.yaml"]}, rules=rules)[0].specs.clusters
    kept, _ = snapshot(files, rules=rules, accepted=before)
    assert told(kept) == [("b", Code.HOST_TAKEN, "/spec/sync/toHost/ingressHosts/0")]


def test_of_thousands_with_one_name_each_is_told_a_few() -> None:
    """Each hears of some of the others, so that the work grows as their number does."""
    name = "x.nested.example.com"
    one = loaded(c=ingress(name)).specs.clusters["c"].cluster
    many = {f"c{number:04}": one for number in range(2000)}
    rivals = [len(several) for _, several in hosts.collisions({key: [name] for key in many}, lambda claim: claim)]
    assert len(rivals) == 2000 and max(rivals) < 10
    mistakes = [mistake for _, mistake in hosts.shared(many, {})]
    assert len(mistakes) == 2000
    assert mistakes[0][2] == f"{name} is also the host name of c0001, c0002, c0003, c0004, c0005 and more"
