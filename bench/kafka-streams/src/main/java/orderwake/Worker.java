package orderwake;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.OffsetDateTime;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * A Kafka Streams worker as its documentation writes one: Worker BOOTSTRAP TOPIC GROUP FOLDER JOB.
 *
 * <p>JOB {@code driver} counts orders by customer. {@code pairs} keeps each customer's orders, sends each product of a
 * basket to a partition by product, and counts orders and pairs there, one key each. Stores are RocksDB with a changelog
 * and with the record cache at its default of 10 MB; one stream thread; at least once; commits once a second.
 */
public final class Worker {
    private static final int BUCKET_DAYS = 28;
    private static final int PARTITIONS = 6;
    private static final long COMMIT_MILLISECONDS = 1000;
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final AtomicBoolean STARTED = new AtomicBoolean();

    private Worker() {}

    /** Works until SIGTERM. */
    public static void main(String[] arguments) throws InterruptedException {
        Topology topology = topology(arguments[1], arguments[4]);
        KafkaStreams streams = new KafkaStreams(topology, properties(arguments[0], arguments[2], arguments[3]));
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }

    private static Properties properties(String bootstrap, String group, String folder) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_MILLISECONDS);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        return properties;
    }

    private static Topology topology(String topic, String job) {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, byte[]> orders =
                builder.stream(topic, Consumed.with(Serdes.String(), Serdes.ByteArray()));
        if (job.equals("driver")) {
            builder.addStateStore(counters("counts"));
            orders.process(OrderCount::new, "counts");
            return builder.build();
        }
        builder.addStateStore(Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore("history"), Serdes.String(), Serdes.ByteArray()).withCachingEnabled());
        builder.addStateStore(counters("pairs"));
        orders.process(Learn::new, "history")
                .repartition(Repartitioned.with(Serdes.String(), Serdes.ByteArray())
                        .withName("products")
                        .withNumberOfPartitions(PARTITIONS))
                .process(PairCount::new, "pairs");
        return builder.build();
    }

    private static StoreBuilder<KeyValueStore<String, Long>> counters(String name) {
        return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), Serdes.String(), Serdes.Long())
                .withCachingEnabled();
    }

    /** Tells the parent, once, that the first record is here. */
    private static void started() {
        if (STARTED.compareAndSet(false, true)) {
            System.out.println(System.currentTimeMillis() / 1000.0);
        }
    }

    private static JsonNode read(byte[] value) {
        try {
            return JSON.readTree(value);
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        }
    }

    private static byte[] write(JsonNode value) {
        try {
            return JSON.writeValueAsBytes(value);
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        }
    }

    private static void add(KeyValueStore<String, Long> store, String key) {
        Long known = store.get(key);
        store.put(key, known == null ? 1 : known + 1);
    }

    /** One order more for the customer. */
    private static final class OrderCount implements Processor<String, byte[], Void, Void> {
        private KeyValueStore<String, Long> counts;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            counts = context.getStateStore("counts");
        }

        @Override
        public void process(Record<String, byte[]> order) {
            started();
            read(order.value());
            add(counts, order.key());
        }
    }

    /** Keeps the order in the customer's history; sends what it adds to each of its products. */
    private static final class Learn implements Processor<String, byte[], String, byte[]> {
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, byte[]> history;

        @Override
        public void init(ProcessorContext<String, byte[]> given) {
            context = given;
            history = given.getStateStore("history");
        }

        @Override
        public void process(Record<String, byte[]> order) {
            started();
            JsonNode event = read(order.value());
            JsonNode data = event.get("data");
            long day = Math.floorDiv(
                    OffsetDateTime.parse(data.get("placed_at").textValue()).toEpochSecond(), 86_400L);
            TreeSet<String> products = new TreeSet<>();
            data.get("lines").forEach(line -> products.add(line.get("product_id").textValue()));
            ObjectNode kept = JSON.createObjectNode().put("bucket", Math.floorDiv(day, BUCKET_DAYS));
            products.forEach(kept.putArray("products")::add);
            history.put(order.key() + "|" + data.get("order_id").textValue(), write(kept));
            for (String product : products) {
                ObjectNode delta = JSON.createObjectNode().put("bucket", Math.floorDiv(day, BUCKET_DAYS));
                ArrayNode others = delta.putArray("others");
                products.stream().filter(other -> !other.equals(product)).forEach(others::add);
                String key = event.get("shopid").textValue() + "|" + product;
                context.forward(order.withKey(key).withValue(write(delta)));
            }
        }
    }

    /** One order more with the product, and with each other product. */
    private static final class PairCount implements Processor<String, byte[], Void, Void> {
        private KeyValueStore<String, Long> pairs;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            pairs = context.getStateStore("pairs");
        }

        @Override
        public void process(Record<String, byte[]> record) {
            JsonNode delta = read(record.value());
            String prefix = record.key() + "|" + delta.get("bucket").asLong() + "|";
            add(pairs, prefix);
            delta.get("others").forEach(other -> add(pairs, prefix + other.textValue()));
        }
    }
}
