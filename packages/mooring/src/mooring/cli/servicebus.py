"""`mooring servicebus`: namespaces, queues and keys, with the names and answers of `az servicebus`."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli import workspaces as places
from mooring.cli.calls import call, delete
from mooring.cli.options import DryRun, Flag, Number, Tags, Text, Texts, Yes, key_values
from mooring.cli.output import Columns
from mooring.cli.session import Session, command, group

app = group("Service Bus: queues that Azure's SDKs send to and receive from.")
namespace_app = group("Namespaces: what queues and keys belong to.")
queue_app = group("Queues of a namespace.")
rule_app = group("Authorization rules: who may send, listen, manage.")
keys_app = group("Keys and connection strings of an authorization rule.")
app.add_typer(namespace_app, name="namespace")
app.add_typer(queue_app, name="queue")
namespace_app.add_typer(rule_app, name="authorization-rule")
rule_app.add_typer(keys_app, name="keys")

ResourceGroup = Annotated[
    Text, typer.Option("--resource-group", "-g", help="Resource group [default: that of config.json]")
]
Subscription = Annotated[
    Text, typer.Option("--subscription-id", help="Subscription [default: that of config.json]")
]
Name = Annotated[str, typer.Option("--name", "-n", help="Name of the namespace.")]
NamespaceName = Annotated[str, typer.Option("--namespace-name", help="Name of the namespace.")]
QueueName = Annotated[str, typer.Option("--name", "-n", help="Name of the queue.")]
RuleName = Annotated[str, typer.Option("--name", "-n", help="Name of the authorization rule.")]

NAMESPACE_COLUMNS: Columns = (
    ("Name", "name"),
    ("Resource group", "resourceGroup"),
    ("Status", "status"),
    ("Endpoint", lambda row: row["serviceBusEndpoint"] or "-"),
    ("Created", "createdAt"),
)
QUEUE_COLUMNS: Columns = (
    ("Name", "name"),
    ("Active", lambda row: row["countDetails"]["activeMessageCount"]),
    ("Dead letter", lambda row: row["countDetails"]["deadLetterMessageCount"]),
    ("Scheduled", lambda row: row["countDetails"]["scheduledMessageCount"]),
    ("Lock", "lockDuration"),
    ("Max deliveries", "maxDeliveryCount"),
)
KEY_COLUMNS: Columns = (
    ("Rule", "keyName"),
    ("Primary key", "primaryKey"),
    ("Secondary key", "secondaryKey"),
    ("Connection string", "primaryConnectionString"),
)


@command(namespace_app, "create", workspace=False)
def create_namespace(
    session: Session,
    name: Name,
    resource_group: ResourceGroup = None,
    subscription_id: Subscription = None,
    location: Annotated[Text, typer.Option("--location", "-l", help="Kept, without effect.")] = None,
    sku: Annotated[
        Text, typer.Option("--sku", help="Basic, Standard or Premium; kept, without effect.")
    ] = None,
    tag: Tags = None,
) -> None:
    """Create a namespace, or change its tags. The broker is started.

    Example:
      mooring servicebus namespace create -n mynamespace -g analytics
    """
    body = {"location": location, "sku": sku, "tags": key_values(tag, "--tag") or None}
    path = _namespace(name, resource_group, subscription_id)
    session.show(call("PUT", path, body), NAMESPACE_COLUMNS)


@command(namespace_app, "list", workspace=False)
def list_namespaces(
    session: Session, resource_group: ResourceGroup = None, subscription_id: Subscription = None
) -> None:
    """List the namespaces of the subscription.

    Example:
      mooring servicebus namespace list -g analytics
    """
    from mooring.sdk.client import part

    subscription, _, _ = places.scope(None, None, subscription_id)
    only = f"?resourceGroup={part(resource_group)}" if resource_group else ""
    rows = call("GET", f"/subscriptions/{part(subscription)}/serviceBusNamespaces{only}")["value"]
    session.show_all(rows, NAMESPACE_COLUMNS, empty="No namespaces.")


@command(namespace_app, "show", workspace=False)
def show_namespace(
    session: Session, name: Name, resource_group: ResourceGroup = None, subscription_id: Subscription = None
) -> None:
    """Show a namespace.

    Example:
      mooring servicebus namespace show -n mynamespace
    """
    session.show(call("GET", _namespace(name, resource_group, subscription_id)), NAMESPACE_COLUMNS)


@command(namespace_app, "delete", workspace=False)
def delete_namespace(
    session: Session,
    name: Name,
    resource_group: ResourceGroup = None,
    subscription_id: Subscription = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a namespace with its queues and all their messages.

    Example:
      mooring servicebus namespace delete -n mynamespace --dry-run
    """
    path = _namespace(name, resource_group, subscription_id)
    queues = call("GET", f"{path}/queues")["value"]
    messages = sum(queue["messageCount"] for queue in queues)
    what = f"namespace {name} with {len(queues)} queues and {messages} messages"
    delete(session, path, what, yes=yes, dry_run=dry_run)


@command(queue_app, "create", workspace=False)
def create_queue(
    session: Session,
    name: QueueName,
    namespace_name: NamespaceName,
    resource_group: ResourceGroup = None,
    subscription_id: Subscription = None,
    lock_duration: Annotated[
        Text, typer.Option("--lock-duration", metavar="PT1M", help="How long a receiver has a message.")
    ] = None,
    max_delivery_count: Annotated[
        Number, typer.Option("--max-delivery-count", help="Deliveries before the dead-letter queue [10].")
    ] = None,
    default_message_time_to_live: Annotated[
        Text, typer.Option("--default-message-time-to-live", metavar="P14D", help="How long a message lives.")
    ] = None,
    dead_lettering: Annotated[
        Flag,
        typer.Option(
            "--enable-dead-lettering-on-message-expiration/--no-dead-lettering-on-message-expiration",
            help="Whether expired messages go to the dead-letter queue.",
        ),
    ] = None,
    max_size: Annotated[
        Number, typer.Option("--max-size", help="Megabytes that the queue may hold [1024].")
    ] = None,
) -> None:
    """Create a queue, or change one; its messages stay.

    Examples:
      mooring servicebus queue create -n input --namespace-name mynamespace
      mooring servicebus queue create -n input --namespace-name mynamespace --lock-duration PT5M
    """
    body = {
        "lockDuration": lock_duration,
        "maxDeliveryCount": max_delivery_count,
        "defaultMessageTimeToLive": default_message_time_to_live,
        "deadLetteringOnMessageExpiration": dead_lettering,
        "maxSizeInMegabytes": max_size,
    }
    path = _queue(name, namespace_name, resource_group, subscription_id)
    session.show(call("PUT", path, body), QUEUE_COLUMNS)


@command(queue_app, "list", workspace=False)
def list_queues(
    session: Session,
    namespace_name: NamespaceName,
    resource_group: ResourceGroup = None,
    subscription_id: Subscription = None,
) -> None:
    """List the queues of a namespace, and how much is in them.

    Example:
      mooring servicebus queue list --namespace-name mynamespace
    """
    path = _namespace(namespace_name, resource_group, subscription_id)
    session.show_all(call("GET", f"{path}/queues")["value"], QUEUE_COLUMNS, empty="No queues.")


@command(queue_app, "show", workspace=False)
def show_queue(
    session: Session,
    name: QueueName,
    namespace_name: NamespaceName,
    resource_group: ResourceGroup = None,
    subscription_id: Subscription = None,
) -> None:
    """Show a queue, and how much is in it.

    Example:
      mooring servicebus queue show -n input --namespace-name mynamespace
    """
    path = _queue(name, namespace_name, resource_group, subscription_id)
    session.show(call("GET", path), QUEUE_COLUMNS)


@command(queue_app, "delete", workspace=False)
def delete_queue(
    session: Session,
    name: QueueName,
    namespace_name: NamespaceName,
    resource_group: ResourceGroup = None,
    subscription_id: Subscription = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a queue with its messages.

    Example:
      mooring servicebus queue delete -n input --namespace-name mynamespace --yes
    """
    path = _queue(name, namespace_name, resource_group, subscription_id)
    count = call("GET", path)["messageCount"]
    delete(session, path, f"queue {name} with {count} messages", yes=yes, dry_run=dry_run)


@command(rule_app, "create", workspace=False)
def create_rule(
    session: Session,
    name: RuleName,
    namespace_name: NamespaceName,
    rights: Annotated[
        Texts, typer.Option("--rights", help="Listen, Send or Manage (with both others); repeated.")
    ] = None,
    resource_group: ResourceGroup = None,
    subscription_id: Subscription = None,
) -> None:
    """Create an authorization rule with keys of its own, or change its rights.

    Example:
      mooring servicebus namespace authorization-rule create --namespace-name mynamespace -n sender --rights Send
    """
    path = _rule(name, namespace_name, resource_group, subscription_id)
    session.show(call("PUT", path, {"rights": rights or []}), (("Name", "name"), ("Rights", "rights")))


@command(keys_app, "list", workspace=False)
def list_keys(
    session: Session,
    name: RuleName,
    namespace_name: NamespaceName,
    resource_group: ResourceGroup = None,
    subscription_id: Subscription = None,
) -> None:
    """Show the keys of an authorization rule, and the connection strings with them.

    Example:
      mooring servicebus namespace authorization-rule keys list --namespace-name mynamespace -n sender
    """
    path = _rule(name, namespace_name, resource_group, subscription_id)
    session.show(call("POST", f"{path}/listKeys"), KEY_COLUMNS)


def _namespace(name: str, resource_group: str | None, subscription_id: str | None) -> str:
    from mooring.sdk.client import part

    subscription, group_name, _ = places.scope(None, resource_group, subscription_id)
    return (
        f"/subscriptions/{part(subscription)}/resourceGroups/{part(group_name)}"
        f"/serviceBusNamespaces/{part(name)}"
    )


def _queue(name: str, namespace: str, resource_group: str | None, subscription_id: str | None) -> str:
    from mooring.sdk.client import part

    return f"{_namespace(namespace, resource_group, subscription_id)}/queues/{part(name)}"


def _rule(name: str, namespace: str, resource_group: str | None, subscription_id: str | None) -> str:
    from mooring.sdk.client import part

    return f"{_namespace(namespace, resource_group, subscription_id)}/authorizationRules/{part(name)}"
