"""Every code a violation of the repository can carry, and what it means (V3). NID0xx belong to reading Git (`source`)."""

from enum import StrEnum


class Code(StrEnum):
    """NID10x the file, NID11x YAML, NID12x schema, NID13x names, NID14x profiles and variables, NID15x packs, NID16x clusters,
    NID17x the operator's ceilings, NID18x objects in packs, NID19x rendering and content from elsewhere."""

    TOO_LARGE = "NID101"
    NOT_UTF8 = "NID102"
    LFS_POINTER = "NID103"
    TOO_MUCH = "NID104"
    EMPTIED = "NID105"
    SYNTAX = "NID110"
    TOO_DEEP = "NID111"
    NOT_ALLOWED = "NID112"
    DUPLICATE_KEY = "NID113"
    AMBIGUOUS = "NID114"
    NUMBER = "NID115"
    KEY = "NID116"
    NOT_OURS = "NID117"
    LEFT_OUT = "NID118"
    SLIP = "NID119"
    API_VERSION = "NID120"
    KIND = "NID121"
    UNKNOWN_FIELD = "NID122"
    MISSING_FIELD = "NID123"
    WRONG_TYPE = "NID124"
    WRONG_VALUE = "NID125"
    UNSUPPORTED = "NID126"
    DUPLICATE_NAME = "NID130"
    DUPLICATE_ITEM = "NID131"
    RESERVED_NAME = "NID132"
    NO_PROFILE = "NID140"
    NO_VERSION = "NID141"
    BAD_RANGE = "NID142"
    BROKEN_PROFILE = "NID143"
    VERSION_CHANGED = "NID144"
    VARIABLE_DECLARATION = "NID145"
    VARIABLE_UNKNOWN = "NID146"
    VARIABLE_MISSING = "NID147"
    VARIABLE_VALUE = "NID148"
    REFERENCE = "NID149"
    NO_FILE = "NID150"
    FILE_KIND = "NID151"
    DEPENDENCY = "NID152"
    CYCLE = "NID153"
    SECRET_DATA = "NID154"
    POD_SECURITY_LABEL = "NID155"
    CLAIMED_TWICE = "NID156"
    NOT_AN_OBJECT = "NID157"
    NOT_A_CHART = "NID158"
    NO_PACK = "NID159"
    HOST = "NID160"
    ENGINE = "NID161"
    IMMUTABLE = "NID162"
    EXPOSE_HOST = "NID163"
    RESERVED_NAMESPACE = "NID164"
    HOST_TAKEN = "NID165"
    ACCESS = "NID166"
    CEILING_QUOTA = "NID170"
    CEILING_PRIORITY_CLASS = "NID171"
    CEILING_TOLERATION = "NID172"
    CEILING_NODE_SELECTOR = "NID173"
    CEILING_NETWORK_POLICY = "NID174"
    CEILING_ANNOTATION = "NID175"
    CEILING_SYNC = "NID176"
    CEILING_REPLICAS = "NID177"
    CEILING_STORAGE = "NID178"
    TTL = "NID179"
    CEILING_BACKUP = "NID183"
    CEILING_RUNTIME_CLASS = "NID184"
    OWNED = "NID180"
    SCHEDULE = "NID181"
    LITERAL = "NID182"
    RENDER = "NID190"
    NO_NAMESPACE = "NID191"
    NO_SUCH_FIELD = "NID198"
    REFUSED = "NID199"
    LOOKUP = "NID195"
    LOCK = "NID192"
    UNLOCKED = "NID193"
    CONTENT_ADDRESS = "NID194"
    KUSTOMIZATION = "NID196"
    ENCRYPTED = "NID197"


MEANING: dict[Code, str] = {
    Code.TOO_LARGE: "the file is larger than `limits.file`",
    Code.NOT_UTF8: "the file is not UTF-8 text",
    Code.LFS_POINTER: "the file is a Git LFS pointer, its content is not in the repository",
    Code.TOO_MUCH: "more files, documents or nodes than `limits` allows",
    Code.EMPTIED: "a file that described a cluster and holds no document now; a warning",
    Code.SYNTAX: "the file is not YAML",
    Code.TOO_DEEP: "nesting is deeper than `limits.depth`",
    Code.NOT_ALLOWED: "anchors, aliases, merge keys, tags and directives are not used here",
    Code.DUPLICATE_KEY: "a key stands twice in one mapping",
    Code.AMBIGUOUS: "a plain scalar that YAML 1.1 and 1.2 read differently; put it in quotes",
    Code.NUMBER: "a number JSON cannot carry exactly (beyond 2^53, infinite, not a number)",
    Code.KEY: "a mapping key that is not a string",
    Code.NOT_OURS: "a document of a kind like ours with another apiVersion: it is not read; a warning of `nidus validate`",
    Code.LEFT_OUT: "files of a chart that a `.gitignore` leaves out of the commit; a warning of `nidus validate`",
    Code.SLIP: "typographic quotes around a value, or a template of Helm in a manifest; a warning",
    Code.API_VERSION: "an apiVersion of nidus.dev this version does not know",
    Code.KIND: "a kind this version does not know",
    Code.UNKNOWN_FIELD: "a field the schema does not have",
    Code.MISSING_FIELD: "a required field is missing",
    Code.WRONG_TYPE: "a value of the wrong type",
    Code.WRONG_VALUE: "a value outside what the schema allows",
    Code.UNSUPPORTED: "designed, but not supported in this version",
    Code.DUPLICATE_NAME: "two documents with one name",
    Code.DUPLICATE_ITEM: "two items of one list with one name",
    Code.RESERVED_NAME: "a name kept for the controller",
    Code.NO_PROFILE: "no profile of that name",
    Code.NO_VERSION: "no version of the profile fits",
    Code.BAD_RANGE: "not a SemVer version or range",
    Code.BROKEN_PROFILE: "the profile it would use is broken",
    Code.VERSION_CHANGED: "a profile version in use changed its content",
    Code.VARIABLE_DECLARATION: "a variable whose own declaration does not fit together",
    Code.VARIABLE_UNKNOWN: "a variable the profile does not declare",
    Code.VARIABLE_MISSING: "a variable without a value",
    Code.VARIABLE_VALUE: "a variable's value does not fit its declaration",
    Code.REFERENCE: "a `${{ }}` reference that means nothing",
    Code.NO_FILE: "a file that is not there",
    Code.FILE_KIND: "a file of the wrong kind for its use",
    Code.DEPENDENCY: "a dependency on a pack that is not there",
    Code.CYCLE: "packs depend on each other in a circle",
    Code.SECRET_DATA: "a Secret with literal data in the repository",
    Code.POD_SECURITY_LABEL: "pod-security labels of nested namespaces belong to the engine",
    Code.CLAIMED_TWICE: "two packs claim one object",
    Code.NOT_AN_OBJECT: "a document that is not a Kubernetes object",
    Code.NOT_A_CHART: "a folder without Chart.yaml",
    Code.KUSTOMIZATION: "a kustomization that is not built: it is not there, or names what is remote or not allowed",
    Code.NO_PACK: "values for a pack the profile does not have, or that is no chart",
    Code.HOST: "a host this controller does not serve",
    Code.ENGINE: "a combination the engine does not accept",
    Code.IMMUTABLE: "a field that cannot change after the cluster was accepted",
    Code.EXPOSE_HOST: "a host name outside the controller's DNS pattern, or no host name at all",
    Code.RESERVED_NAMESPACE: "a host namespace that belongs to Kubernetes or to the controller",
    Code.HOST_TAKEN: "a host name that another cluster has",
    Code.ACCESS: "an entry of `access.rbac` or `access.kubeconfigs` that cannot be",
    Code.CEILING_QUOTA: "a quota, or resources of the control plane, above `ceilings.quota`",
    Code.CEILING_PRIORITY_CLASS: "a priority class that is not in `ceilings.priorityClasses`",
    Code.CEILING_TOLERATION: "a toleration that no entry of `ceilings.tolerations` covers",
    Code.CEILING_NODE_SELECTOR: "a node label or value that is not in `ceilings.nodeSelectors`",
    Code.CEILING_NETWORK_POLICY: "the network policy switched off without `ceilings.networkPolicyOff`",
    Code.CEILING_ANNOTATION: "an annotation that does not begin as `ceilings.annotations` allows",
    Code.CEILING_SYNC: "a kind copied to the host that is not in `ceilings.syncToHost`",
    Code.CEILING_REPLICAS: "more control plane replicas than `ceilings.replicas`",
    Code.CEILING_RUNTIME_CLASS: "a runtime class that is not in `ceilings.runtimeClasses`",
    Code.CEILING_BACKUP: "an object store that is not in `ceilings.backupEndpoints`",
    Code.TTL: "a ttl above `policy.maxTTL`, or of no time at all",
    Code.OWNED: "an object in a pack that has ownerReferences",
    Code.CEILING_STORAGE: "more storage of the control plane than `ceilings.storage`",
    Code.SCHEDULE: "a time of a schedule that never comes, or a time zone that nobody knows",
    Code.LITERAL: "what looks like a private key, a token or a password stands in a file; told by `nidus validate`",
    Code.RENDER: "a pack that cannot be rendered; told by `nidus validate`",
    Code.NO_NAMESPACE: "a namespace that a pack puts objects into and nothing in the repository makes; a warning of `nidus validate`",
    Code.NO_SUCH_FIELD: "a field that Kubernetes does not have, in an object of its own kinds; a warning",
    Code.REFUSED: "pods that the pod security level of a cluster refuses; a warning of `nidus validate`, and told in plans",
    Code.LOOKUP: "a chart that asks the cluster while it is rendered, and gets no answer; a warning of `nidus validate`",
    Code.ENCRYPTED: "a document that SOPS encrypted in a way that is not read here",
    Code.LOCK: "`nidus.lock.yaml` is not as `nidus lock` writes it",
    Code.UNLOCKED: "content from elsewhere without a digest: `nidus lock` finds it",
    Code.CONTENT_ADDRESS: "an address that `content.allow` does not cover, or that is not safe",
}
