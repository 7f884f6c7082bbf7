"""The Service Bus broker: queues that Azure's SDKs talk to by AMQP 1.0, in a process of its own."""
