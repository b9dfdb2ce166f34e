"""Objects that use every list shape of the built-in kinds we know by heart (plan.shapes), as people write them."""

from typing import Any

Object = dict[str, Any]


def _of(api: str, kind: str, name: str, namespace: str = "default", **body: Any) -> Object:
    metadata = {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "labels": {"app.kubernetes.io/name": name},
    }
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


POD: Object = {
    "serviceAccountName": "default",
    "imagePullSecrets": [{"name": "pull"}],
    "nodeSelector": {"pool": "a", "example.io/zone": "1"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a", "b"]}],
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": "a"}},
        }
    ],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "a"}}},
                }
            ]
        },
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
            }
        },
    },
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "supplementalGroups": [1, 2]},
    "initContainers": [{"name": "init", "image": "busybox:1", "command": ["true"]}],
    "containers": [
        {
            "name": "app",
            "image": "nginx:1.27",
            "args": ["-c", "x"],
            "env": [
                {"name": "PLAIN", "value": "1"},
                {"name": "EMPTY"},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "c"}}],
            "ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP", "name": "dns"}],
            "resources": {
                "requests": {"cpu": "100m", "example.io/gpu": "1"},
                "limits": {"memory": "64Mi", "example.io/gpu": "1"},
            },
            "volumeMounts": [
                {"name": "data", "mountPath": "/data"},
                {"name": "cfg", "mountPath": "/etc/cfg", "readOnly": True},
            ],
            "readinessProbe": {"httpGet": {"path": "/", "port": 80, "httpHeaders": [{"name": "a", "value": "b"}]}},
            "securityContext": {"capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
            "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}},
        }
    ],
    "volumes": [
        {"name": "data", "emptyDir": {}},
        {"name": "cfg", "configMap": {"name": "c", "items": [{"key": "a", "path": "b"}]}},
        {"name": "sec", "secret": {"secretName": "s"}},
        {
            "name": "all",
            "projected": {
                "sources": [{"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]
            },
        },
    ],
}
SELECTOR: Object = {"matchLabels": {"app": "a"}}
TEMPLATE: Object = {"metadata": {"labels": {"app": "a"}, "annotations": {"vClusterConfigHash": "x"}}, "spec": POD}
CLAIM: Object = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
JOB: Object = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {**POD, "restartPolicy": "Never", "serviceAccountName": ""},
}
RBAC = "rbac.authorization.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"
SERVICE_REF: Object = {"service": {"name": "w", "namespace": "default", "path": "/v"}}
RULE: Object = {"apiGroups": ["x.io"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["xs"]}

CORPUS: tuple[Object, ...] = (
    _of("v1", "ConfigMap", "config", data={"plain": "1", "dotted.key": "2", "empty": ""}, immutable=False),
    _of("v1", "Secret", "secret", data={"k": "dg=="}, type="Opaque"),
    _of("v1", "Namespace", "fields", ""),
    _of("v1", "ServiceAccount", "account", secrets=[{"name": "x"}], imagePullSecrets=[{"name": "pull"}]),
    _of(
        "v1",
        "Service",
        "service",
        spec={
            "selector": {"app": "a", "x.io/y": "1"},
            "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP", "targetPort": "dns"}],
            "externalIPs": ["10.1.1.1"],
        },
    ),
    _of("v1", "PersistentVolumeClaim", "claim", spec=CLAIM["spec"]),
    _of("v1", "ResourceQuota", "quota", spec={"hard": {"requests.cpu": "1000m", "count/pods": "10", "pods": 5}}),
    _of("v1", "LimitRange", "limits", spec={"limits": [{"type": "Container", "default": {"memory": "1024Mi"}}]}),
    _of("v1", "Endpoints", "service", subsets=[{"addresses": [{"ip": "10.2.2.2"}], "ports": [{"port": 80}]}]),
    _of(
        "apps/v1",
        "Deployment",
        "web",
        spec={"replicas": 2, "selector": SELECTOR, "template": TEMPLATE, "strategy": {"type": "Recreate"}},
    ),
    _of("apps/v1", "DaemonSet", "agent", spec={"selector": SELECTOR, "template": TEMPLATE}),
    _of(
        "apps/v1",
        "StatefulSet",
        "store",
        spec={
            "serviceName": "store",
            "selector": SELECTOR,
            "template": TEMPLATE,
            "volumeClaimTemplates": [CLAIM],
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain"},
        },
    ),
    _of(
        "batch/v1",
        "Job",
        "job",
        spec={
            "template": JOB,
            "backoffLimit": 3,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": {"containerName": "app", "operator": "In", "values": [1, 2]}}
                ]
            },
        },
    ),
    _of("batch/v1", "CronJob", "cron", spec={"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": JOB}}}),
    _of(
        "networking.k8s.io/v1",
        "Ingress",
        "ingress",
        spec={
            "defaultBackend": {"service": {"name": "service", "port": {"number": 80}}},
            "tls": [{"hosts": ["a.example.com"], "secretName": "tls"}],
            "rules": [
                {
                    "host": "a.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "service", "port": {"name": "a"}}},
                            }
                        ]
                    },
                }
            ],
        },
    ),
    _of(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "policy",
        spec={
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {}}],
                    "ports": [{"port": 80}],
                }
            ],
            "egress": [{}],
        },
    ),
    _of(RBAC, "Role", "role", rules=[{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]),
    _of(
        RBAC,
        "RoleBinding",
        "binding",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "role"},
        subjects=[
            {"kind": "ServiceAccount", "name": "account", "namespace": "default"},
            {"kind": "Group", "name": "team"},
        ],
    ),
    _of(RBAC, "ClusterRole", "fields", "", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}),
    _of("policy/v1", "PodDisruptionBudget", "budget", spec={"maxUnavailable": 1, "selector": SELECTOR}),
    _of(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "scaler",
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                }
            ],
            "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
        },
    ),
    _of("scheduling.k8s.io/v1", "PriorityClass", "fields", "", value=10, globalDefault=False),
    _of(
        "storage.k8s.io/v1",
        "StorageClass",
        "fields",
        "",
        provisioner="x.io/y",
        parameters={"a": "b"},
        mountOptions=["ro"],
    ),
    _of("coordination.k8s.io/v1", "Lease", "lease", spec={"holderIdentity": "x", "leaseDurationSeconds": 15}),
    _of(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "slice",
        addressType="IPv4",
        endpoints=[{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}],
        ports=[{"name": "a", "port": 80}],
    ),
    _of(
        ADMISSION,
        "ValidatingWebhookConfiguration",
        "fields",
        "",
        webhooks=[
            {
                "name": "a.x.io",
                "clientConfig": SERVICE_REF,
                "rules": [RULE],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Ignore",
                "namespaceSelector": {"matchLabels": {"a": "b"}},
                "matchConditions": [{"name": "one", "expression": "true"}],
            }
        ],
    ),
    _of(
        ADMISSION,
        "ValidatingAdmissionPolicy",
        "fields",
        "",
        spec={
            "failurePolicy": "Ignore",
            "matchConstraints": {"resourceRules": [RULE]},
            "variables": [{"name": "v", "expression": "1"}],
            "validations": [{"expression": "true"}],
        },
    ),
    _of(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "things.fields.example.io",
        "",
        spec={
            "group": "fields.example.io",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "singular": "thing", "shortNames": ["th"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "properties": {
                                        "size": {"type": "integer"},
                                        "names": {"type": "array", "items": {"type": "string"}},
                                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    },
                                }
                            },
                        }
                    },
                }
            ],
        },
    ),
)
CRD: Object = {
    **CORPUS[-1],
    "metadata": {"name": "things.agree.example.io", "labels": {"app.kubernetes.io/name": "agree"}},
    "spec": {**CORPUS[-1]["spec"], "group": "agree.example.io"},
}
THING: Object = _of(
    "agree.example.io/v1",
    "Thing",
    "thing",
    spec={"size": 1, "names": ["a", "b"], "free": {"a": {"b": [1, {"c": 2}]}, "e": {}}},
)
OWNED = {**CORPUS[0], "metadata": {**CORPUS[0]["metadata"], "name": "owned", "finalizers": ["x.io/hold", "x.io/wait"]}}
