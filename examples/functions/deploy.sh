#!/usr/bin/env bash
# What Azure's article on models as functions has its readers type, in its order, with az as it is.
#
#   eval "$(mooring az-setup)"
#   ./deploy.sh "$(python package_blob.py | tail -n 1)"
set -euo pipefail

location=$1                          # <acrinstance>/package@sha256:<hash>
acrinstance=${location%/package@*}   # in Azure <myacr>.azurecr.io, here host:port/<myacr>
myacr=${acrinstance##*/}
app=${2:-diabetesapp}
webjobStorage=${app}jobs
triggerStorage=${app}trigger

credentials=$(az acr credential show --name "$myacr")
username=$(python -c 'import json, sys; print(json.load(sys.stdin)["username"])' <<< "$credentials")
password=$(python -c 'import json, sys; print(json.load(sys.stdin)["passwords"][0]["value"])' <<< "$credentials")

az group create --name myresourcegroup --location "West Europe"
# Some of the articles say EP1: today's az takes that only as `az functionapp plan create ... --sku EP1`.
az appservice plan create --name myplanname --resource-group myresourcegroup --sku B1 --is-linux

az storage account create --name "$webjobStorage" --location westeurope --resource-group myresourcegroup --sku Standard_LRS
az storage account show-connection-string --resource-group myresourcegroup --name "$webjobStorage" --query connectionString --output tsv

# Not active yet: nothing tells it the registry's credentials, or where the blobs are.
az functionapp create --resource-group myresourcegroup --plan myplanname --name "$app" --deployment-container-image-name "$location" --storage-account "$webjobStorage"

az storage account create --name "$triggerStorage" --location westeurope --resource-group myresourcegroup --sku Standard_LRS
triggerConnectionString=$(az storage account show-connection-string --resource-group myresourcegroup --name "$triggerStorage" --query connectionString --output tsv)
az storage container create -n input --connection-string "$triggerConnectionString"
az storage container create -n output --connection-string "$triggerConnectionString"
az functionapp config appsettings set --name "$app" --resource-group myresourcegroup --settings "TriggerConnectionString=$triggerConnectionString"

imagetag=$(az acr repository show-tags --repository package --name "$username" --output tsv | tail -n 1)
az functionapp config container set --name "$app" --resource-group myresourcegroup --docker-custom-image-name "$acrinstance/package:$imagetag" --docker-registry-server-url "https://$acrinstance" --docker-registry-server-user "$username" --docker-registry-server-password "$password"

az storage blob upload --container-name input --file sample_input.json --name sample_input.json --connection-string "$triggerConnectionString"
until [ "$(az storage blob list --container-name output --connection-string "$triggerConnectionString" --query '[].name' --output tsv)" = sample_input_out.json ]; do sleep 1; done
az storage blob download --container-name output --file sample_input_out.json --name sample_input_out.json --connection-string "$triggerConnectionString"
cat sample_input_out.json
