import io.grpc.LoadBalancerProvider;
import io.grpc.LoadBalancerRegistry;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * Runs cases of grpc-java's test client one after another in one virtual machine: {@code Cases --test_case=A,B … flags}.
 *
 * <p>The client itself runs one case and exits, and starting a virtual machine takes longer than most cases. Each case
 * gets a client of its own here, and says {@code case A ok} or {@code case A FAIL why}. What only some cases want stands
 * in {@link #flagsOf}.
 */
public final class Cases {
  private static final String CLIENT = "io.grpc.testing.integration.TestServiceClient";
  private static final String BALANCER = "io.grpc.testing.integration.CustomBackendMetricsLoadBalancerProvider";
  private static final long CASE_LIMIT_SECONDS = 35;
  private static final String BALANCER_CONFIG =
      "{\"loadBalancingConfig\":[{\"test_backend_metrics_load_balancer\":{}}]}";

  public static void main(String[] words) throws Exception {
    List<String> flags = new ArrayList<>();
    String[] cases = {};
    for (String word : words) {
      if (word.startsWith("--test_case=")) {
        cases = word.substring("--test_case=".length()).split(",");
      } else {
        flags.add(word);
      }
    }
    // The load report cases ask for this balancer by name; the client's own main method makes it known.
    Constructor<?> balancer = Class.forName(BALANCER).getDeclaredConstructor();
    balancer.setAccessible(true);
    LoadBalancerRegistry.getDefaultRegistry().register((LoadBalancerProvider) balancer.newInstance());
    ExecutorService threads = Executors.newCachedThreadPool();
    int failed = 0;
    for (String name : cases) {
      long started = System.nanoTime();
      String why = null;
      try {
        threads.submit(() -> play(name, flags)).get(CASE_LIMIT_SECONDS, TimeUnit.SECONDS);
      } catch (java.util.concurrent.ExecutionException failure) {
        Throwable cause = failure.getCause();
        why = String.valueOf(cause instanceof InvocationTargetException ? cause.getCause() : cause);
      } catch (java.util.concurrent.TimeoutException failure) {
        why = "time is up";
      }
      if (why == null) {
        System.out.printf("case %s ok %.3f%n", name, (System.nanoTime() - started) / 1e9);
      } else {
        failed += 1;
        System.out.printf("case %s FAIL %s%n", name, why.replaceAll("\\s+", " "));
      }
    }
    System.exit(failed == 0 ? 0 : 1);
  }

  private static Object play(String name, List<String> flags) throws Exception {
    Class<?> type = Class.forName(CLIENT);
    Object client = type.getDeclaredConstructor().newInstance();
    List<String> words = new ArrayList<>(flags);
    words.add("--test_case=" + name);
    words.addAll(flagsOf(name));
    call(client, "parseArgs", (Object) words.toArray(new String[0]));
    call(client, "setUp");
    try {
      call(client, "run");
    } finally {
      call(client, "tearDown");
    }
    return null;
  }

  private static List<String> flagsOf(String name) {
    return name.startsWith("orca") ? Arrays.asList("--service_config_json=" + BALANCER_CONFIG) : List.of();
  }

  private static void call(Object target, String name, Object... arguments) throws Exception {
    for (Method method : target.getClass().getDeclaredMethods()) {
      if (method.getName().equals(name)) {
        method.setAccessible(true);
        method.invoke(target, arguments);
        return;
      }
    }
    throw new NoSuchMethodException(name);
  }
}
