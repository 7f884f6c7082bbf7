"""The TCP ports that sandboxed workers may call: Landlock rules ports by lists of what is allowed.

Each port costs when a worker starts, so the list has what scripts call, not all there are. None is in the
range from which Linux gives out free ports (32768 and up), where the server and the services listen.
"""

from __future__ import annotations

# Well-known ports, then those that databases, brokers, caches and services over HTTP use by custom.
_RANGES = (
    (1, 1023),
    (1433, 1434),  # SQL Server
    (1521, 1522),  # Oracle
    (1883, 1883),  # MQTT
    (2181, 2181),  # ZooKeeper
    (2379, 2379),  # etcd
    (2484, 2484),  # Oracle with TLS
    (3000, 3000),
    (3128, 3128),  # proxies
    (3306, 3306),  # MySQL
    (4222, 4222),  # NATS
    (4317, 4318),  # OpenTelemetry
    (4443, 4443),
    (5000, 5001),
    (5432, 5434),  # PostgreSQL
    (5601, 5601),  # Kibana
    (5671, 5672),  # AMQP
    (5984, 5984),  # CouchDB
    (6333, 6334),  # Qdrant
    (6379, 6390),  # Redis
    (6432, 6432),  # PgBouncer
    (6650, 6651),  # Pulsar
    (7000, 7001),
    (7474, 7474),  # Neo4j
    (7687, 7687),
    (8000, 8100),
    (8123, 8123),  # ClickHouse
    (8200, 8200),  # Vault
    (8443, 8443),
    (8500, 8501),  # Consul, TensorFlow Serving
    (8529, 8529),  # ArangoDB
    (8848, 8848),
    (8880, 8889),
    (9000, 9100),  # S3 servers, Kafka, ClickHouse
    (9160, 9160),
    (9200, 9200),  # Elasticsearch
    (9300, 9300),
    (9411, 9411),  # Zipkin
    (9440, 9440),
    (9443, 9443),
    (10000, 10002),  # Azure Storage's emulator
    (10250, 10260),  # Azure Cosmos DB
    (10350, 10350),
    (11000, 11999),  # Azure SQL redirects connections to these
    (11211, 11211),  # memcached
    (11434, 11434),  # Ollama
    (15000, 15010),  # Azure Cache for Redis
    (19092, 19092),
    (19530, 19530),  # Milvus
    (26257, 26257),  # CockroachDB
    (27015, 27020),  # MongoDB
    (28015, 28015),  # RethinkDB
)
OUTBOUND = frozenset(port for first, last in _RANGES for port in range(first, last + 1))
