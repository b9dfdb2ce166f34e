# syntax=docker/dockerfile:1
# The controller's image. The engine's charts are the operator's choice and come from a folder of yours, one folder a
# version (vcluster-0.36.1/Chart.yaml ...):
#
#     docker build --build-arg BASE=python:3.13-slim-bookworm@sha256:... --build-context charts=./charts -t nidus:0.1.0 .
#
# BASE carries the digest of the image you looked at (`docker buildx imagetools inspect python:3.13-slim-bookworm`): a tag alone is
# refused, because it names another image tomorrow. docs/decisions/0020-supply-chain.md says what else is trusted and how it is checked.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS base
ARG BASE
RUN printf '%s' "$BASE" | grep -Eq '^[^[:space:]]+@sha256:[0-9a-f]{64}$' || { \
      echo "BASE is '$BASE', without a digest: write --build-arg BASE=NAME@sha256:DIGEST" >&2; exit 1; }

# Everything from the package index is checked against the hashes of the two locks; nothing else is asked for.
FROM base AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY pyproject.toml requirements.txt requirements-build.txt README.md LICENSE ./
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --only-binary :all: --require-hashes -r requirements-build.txt \
 && python -m venv --copies /opt/nidus \
 && /opt/nidus/bin/pip install --only-binary :all: --require-hashes -r requirements.txt
COPY reconciler reconciler
COPY webhook webhook
COPY dashboard dashboard
COPY schemas schemas
COPY devhost devhost
COPY deploy deploy
COPY sample-repo sample-repo
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation -w /opt/dist . \
 && /opt/nidus/bin/pip install --no-index --no-deps /opt/dist/nidus_gitops-*.whl \
 && /opt/nidus/bin/pip check \
 && /opt/nidus/bin/pip uninstall -y pip \
 # Helm's library lies in its package three times; the versioned file is the one that is loaded.
 && find /opt/nidus -name 'libhelm_c.so*' ! -name 'libhelm_c.so.*.*.*' -delete \
 && /opt/nidus/bin/python -m compileall -q -j 0 /opt/nidus/lib

FROM base
# The controller and its probes start no shell; git starts ssh by one, and ssh needs a user it can name. What could fetch or
# build, or change its user, is taken out.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git gnupg openssh-client tini \
 && rm -rf /var/lib/apt/lists/* \
 && python -m pip uninstall -y pip \
 && groupadd --gid 65532 nidus \
 && useradd --uid 65532 --gid 65532 --home-dir /var/lib/nidus --create-home --shell /usr/sbin/nologin nidus \
 && find / -xdev -perm /6000 -type f -exec chmod a-s {} +
COPY --from=build /opt/nidus /opt/nidus
COPY --from=charts . /charts/
ENV PATH=/opt/nidus/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONUTF8=1
USER 65532:65532
WORKDIR /var/lib/nidus
EXPOSE 9292 9293
ENTRYPOINT ["/usr/bin/tini", "--", "nidus"]
CMD ["run", "--config", "/etc/nidus/config/nidus.yaml"]
