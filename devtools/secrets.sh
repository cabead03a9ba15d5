#!/bin/sh
# Random keys for docker-compose.yml into ./secrets, made once and never overwritten.
# The files are readable inside the containers; the folder keeps other people of this machine out.
set -eu
cd "$(dirname "$0")/.."
mkdir -p secrets
chmod 700 secrets

random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

keep() {
    if [ ! -e "secrets/$1" ]; then
        printf '%s' "$2" >"secrets/$1"
        chmod 644 "secrets/$1"
        echo "made secrets/$1"
    fi
}

keep secret_key "$(random)"
keep postgres_password "$(random)"
keep database_url "postgresql://likeness:$(cat secrets/postgres_password)@database:5432/likeness"
if [ ! -e secrets/storage_url ]; then
    key=$(random)
    secret=$(random)
    keep storage_url "s3://$key:$secret@store:8333/likeness?region=us-east-1&tls=0"
    keep store_identities "{\"identities\":[{\"name\":\"likeness\",\"credentials\":[{\"accessKey\":\"$key\",\"secretKey\":\"$secret\"}],\"actions\":[\"Admin\"]}]}"
fi
for given in stripe_secret_key stripe_webhook_secret smtp_password; do
    if [ ! -e "secrets/$given" ]; then
        keep "$given" ""
        echo "  fill in secrets/$given"
    fi
done
