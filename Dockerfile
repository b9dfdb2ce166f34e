# syntax=docker/dockerfile:1
# The controller's image. The engine's charts are the operator's choice and come from a folder of yours, one folder a
# version (vcluster-0.36.1/Chart.yaml ...):
#
#     docker build --build-context charts=./charts -t nidus:0.1.0 .
#
# Pin BASE by digest for a build that can be repeated.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY reconciler reconciler
COPY webhook webhook
COPY schemas schemas
COPY devhost devhost
RUN python -m venv --copies /opt/nidus \
 && /opt/nidus/bin/pip install --only-binary :all: -c constraints.txt . \
 && /opt/nidus/bin/pip uninstall -y pip \
 # Helm's library lies in its package three times; the versioned file is the one that is loaded.
 && find /opt/nidus -name 'libhelm_c.so*' ! -name 'libhelm_c.so.*.*.*' -delete \
 && /opt/nidus/bin/python -m compileall -q -j 0 /opt/nidus/lib

FROM ${BASE}
# git needs a shell and ssh, ssh needs a user it can name; everything that could fetch or build is taken out.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client tini \
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
CMD ["run", "--config", "/etc/nidus/nidus.yaml"]
