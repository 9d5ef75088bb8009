// What a Java program does with pgJDBC: java -cp postgresql.jar Visit.java URL USER PASSWORD

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

public class Visit {
    public static void main(String[] arguments) throws Exception {
        Properties wanted = new Properties();
        wanted.setProperty("user", arguments[1]);
        wanted.setProperty("password", arguments[2]);
        wanted.setProperty("prepareThreshold", "3");
        wanted.setProperty("ApplicationName", "visit");
        try (Connection connection = DriverManager.getConnection(arguments[0], wanted)) {
            prepared(connection);
            batch(connection);
            cursor(connection);
            error(connection);
        }
        System.out.println("done");
    }

    private static void prepared(Connection connection) throws SQLException {
        try (PreparedStatement ask = connection.prepareStatement("SELECT ?::int * 2, ?")) {
            for (int number = 0; number < 6; number++) {
                ask.setInt(1, number);
                ask.setString(2, "naïve");
                try (ResultSet rows = ask.executeQuery()) {
                    rows.next();
                    check(rows.getInt(1) == 2 * number && rows.getString(2).equals("naïve"));
                }
            }
        }
    }

    private static void batch(Connection connection) throws SQLException {
        String insert = "INSERT INTO things VALUES (?, ?)";
        try (PreparedStatement ask = connection.prepareStatement(insert)) {
            for (int number = 0; number < 500; number++) {
                ask.setInt(1, number);
                ask.setString(2, "thing " + number);
                ask.addBatch();
            }
            check(ask.executeBatch().length == 500);
        }
    }

    private static void cursor(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement ask = connection.createStatement()) {
            ask.setFetchSize(200);
            int count = 0;
            try (ResultSet rows = ask.executeQuery("SELECT id FROM things ORDER BY id")) {
                while (rows.next()) {
                    check(rows.getInt(1) == count++);
                }
            }
            check(count == 500);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    private static void error(Connection connection) throws SQLException {
        try (Statement ask = connection.createStatement()) {
            ask.executeQuery("SELECT 1 / 0");
            check(false);
        } catch (SQLException failure) {
            check(failure.getSQLState().equals("22012"));
        }
        try (Statement ask = connection.createStatement()) {
            ask.setQueryTimeout(1);
            ask.executeQuery("SELECT pg_sleep(30)");
            check(false);
        } catch (SQLException failure) {
            check(failure.getSQLState().equals("57014"));
        }
    }

    private static void check(boolean holds) {
        if (!holds) {
            throw new AssertionError("not what was expected");
        }
    }
}
