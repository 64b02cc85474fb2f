import static java.net.http.HttpResponse.BodyHandlers.ofString;

import java.io.FileInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Makes calls with Java's HttpClient, and says what came of each.
 *
 * <p>java HttpClientCalls.java HTTP_ADDRESS, in a directory as served.py has it: a line a call, the
 * call, a tab and the result. An answer that is wrong ends it.
 */
public class HttpClientCalls {
    static final String NAME = "\"name\":\"([^\"]*)\"";
    static final String PROBABILITY = "\"probability\":([-+.0-9eE]+)";

    /** A refusal: its message is the status and what the answer says. */
    static class Refused extends Exception {
        final int status;

        Refused(HttpResponse<String> answer) {
            super(answer.body());
            status = answer.statusCode();
        }
    }

    interface Call {
        void make() throws Exception;
    }

    static String url;

    static HttpRequest request(String path, BodyPublisher body) {
        return HttpRequest.newBuilder(URI.create(url + path)).POST(body).build();
    }

    static String ask(HttpClient client, String path, BodyPublisher body) throws Exception {
        HttpResponse<String> answer = client.send(request(path, body), ofString());
        if (answer.statusCode() != 200) {
            throw new Refused(answer);
        }
        return answer.body();
    }

    static String group(String pattern, String text) {
        var matcher = Pattern.compile(pattern).matcher(text);
        if (!matcher.find()) {
            throw new AssertionError("no " + pattern + " in " + text);
        }
        return matcher.group(1);
    }

    /** Holds an answer of /classify to the expected class, and its probability within a bound. */
    static void named(String answer, double bound) throws IOException {
        String expected = Files.readString(Path.of("expected.json"));
        String got = group(NAME, answer);
        double difference = Double.parseDouble(group(PROBABILITY, answer))
            - Double.parseDouble(group(PROBABILITY, expected));
        if (!got.equals(group(NAME, expected)) || !(Math.abs(difference) <= bound)) {
            throw new AssertionError("got " + answer + ", want " + expected);
        }
    }

    static void classify(HttpClient client, BodyPublisher body) throws Exception {
        named(ask(client, "/classify?top=1", body), 0);
    }

    static void show(String name, String reason, Call call) throws Exception {
        String result = "answers";
        try {
            call.make();
        } catch (Refused e) {
            result = "refused: " + e.status;
            if (!e.getMessage().contains(reason)) {
                result += ", without the reason";
            }
        }
        System.out.println(name + "\t" + result);
    }

    static BodyPublisher file(String name) throws IOException {
        return BodyPublishers.ofFile(Path.of(name));
    }

    static BodyPublisher streamed(String name) {
        return BodyPublishers.ofInputStream(() -> {
            try {
                return new FileInputStream(name);
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        });
    }

    static BodyPublisher instances(String instance) {
        return BodyPublishers.ofString("{\"instances\": [" + instance + "]}");
    }

    public static void main(String[] arguments) throws Exception {
        url = "http://" + arguments[0];
        String model = "/v1/models/efficientnet-lite0";
        // HTTP/2 by an upgrade is Java's default, HTTP/1.1 where the server does not take it.
        HttpClient client = HttpClient.newHttpClient();
        HttpClient old = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        byte[] image = Files.readAllBytes(Path.of("cat.jpg"));
        String b64 = "{\"b64\": \"" + Base64.getEncoder().encodeToString(image) + "\"}";

        show("send (ofFile)", "", () -> classify(client, file("cat.jpg")));
        show("send (HTTP_1_1)", "", () -> classify(old, file("cat.jpg")));
        show("send (ofInputStream)", "", () -> classify(client, streamed("cat.jpg")));
        show("send (7 MB)", "", () -> classify(client, file("padded.jpg")));
        show("send (examples, b64)", "", () ->
            named(classified(ask(client, model + ":classify",
                BodyPublishers.ofString("{\"examples\": [{\"images\": " + b64 + "}]}"))), 0));
        show("sendAsync (eight at a time)", "", () -> {
            var sent = Stream.generate(() -> request("/classify?top=1",
                BodyPublishers.ofByteArray(image))).limit(8)
                .map(r -> client.sendAsync(r, ofString())).toList();
            for (var answer : sent) {
                // in batches, whose sums are added up in another order
                named(answer.get().body(), 1e-5);
            }
        });
        show("send (another shape)", "expected (-1, 224, 224, 3), got (1, 2, 2, 3)", () ->
            ask(client, model + ":predict",
                instances("[[[1, 1, 1], [1, 1, 1]], [[1, 1, 1], [1, 1, 1]]]")));
        show("send (no such model)", "Servable not found for request", () ->
            ask(client, "/v1/models/none:predict", instances(b64)));
        show("send (too large)", "the body is over the limit of 8388608 bytes", () ->
            classify(client, file("large")));
    }

    /** Makes of TensorFlow Serving's first pair of label and score what /classify answers. */
    static String classified(String answer) {
        String first = "\\[\\s*\\[\\s*\\[\\s*\"([^\"]*)\"";
        String score = "\\[\\s*\\[\\s*\\[\\s*\"[^\"]*\",\\s*([-+.0-9eE]+)";
        return "{\"name\":\"" + group(first, answer) + "\",\"probability\":"
            + group(score, answer) + "}";
    }
}
