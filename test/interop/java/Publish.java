import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.Encoding;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.CloudEventSerializer;
import io.cloudevents.kafka.PartitionKeyExtensionInterceptor;
import java.io.File;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Publishes the cases with the CloudEvents SDK for Java and its Kafka serializer. Arguments: the brokers, the topic, the
 * mode, what every id begins with, the file of cases.
 */
public class Publish {
  static final ObjectMapper JSON = new ObjectMapper().enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

  public static void main(String[] args) throws Exception {
    String topic = args[1], prefix = args[3];
    Map<String, Object> config = new HashMap<>();
    config.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
    config.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, CloudEventSerializer.class);
    config.put(ProducerConfig.INTERCEPTOR_CLASSES_CONFIG, PartitionKeyExtensionInterceptor.class.getName());
    config.put(CloudEventSerializer.ENCODING_CONFIG, Encoding.valueOf(args[2].toUpperCase()).name());
    if (args[2].equals("structured")) {
      config.put(CloudEventSerializer.EVENT_FORMAT_CONFIG, JsonFormat.CONTENT_TYPE);
    }
    try (KafkaProducer<String, CloudEvent> producer = new KafkaProducer<>(config)) {
      List<Future<?>> sent = new ArrayList<>();
      for (JsonNode node : JSON.readTree(new File(args[4]))) {
        sent.add(producer.send(new ProducerRecord<>(topic, event(node, prefix))));
      }
      for (Future<?> f : sent) {
        f.get();
      }
    }
  }

  static CloudEvent event(JsonNode node, String prefix) throws Exception {
    CloudEventBuilder b = CloudEventBuilder.v1().withId(prefix + node.get("id").asText()).withType(node.get("type").asText())
        .withSource(URI.create(node.get("source").asText())).withTime(OffsetDateTime.parse(node.get("time").asText()));
    if (node.has("subject")) b.withSubject(node.get("subject").asText());
    if (node.has("base64")) {
      b.withData(node.get("datacontenttype").asText(), node.get("base64").binaryValue());
    } else if (node.has("data")) {
      String type = node.get("datacontenttype").asText();
      String data = type.contains("json") ? JSON.writeValueAsString(node.get("data")) : node.get("data").asText();
      b.withData(type, data.getBytes(StandardCharsets.UTF_8));
    }
    for (Map.Entry<String, JsonNode> e : node.path("extensions").properties()) {
      JsonNode v = e.getValue();
      if (v.isNumber()) b.withExtension(e.getKey(), v.numberValue());
      else if (v.isBoolean()) b.withExtension(e.getKey(), v.booleanValue());
      else b.withExtension(e.getKey(), v.asText());
    }
    return b.build();
  }
}
