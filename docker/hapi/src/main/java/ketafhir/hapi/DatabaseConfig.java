package ketafhir.hapi;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirH2Dialect;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirPostgresDialect;
import jakarta.persistence.EntityManagerFactory;
import java.util.Map;
import javax.sql.DataSource;
import org.apache.commons.dbcp2.BasicDataSource;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Primary;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;
import org.springframework.transaction.annotation.EnableTransactionManagement;

/** The connection pool, Hibernate and its transactions; tables are made and extended at start. */
@Configuration
@EnableTransactionManagement
class DatabaseConfig {

	private static final int MOST_CONNECTIONS = 32;

	@Bean(destroyMethod = "close")
	DataSource dataSource(Settings settings) {
		Settings.Database database = settings.database();
		BasicDataSource pool = new BasicDataSource();
		pool.setUrl(database.url());
		pool.setUsername(database.user());
		pool.setPassword(database.password());
		pool.setMaxTotal(MOST_CONNECTIONS);
		return pool;
	}

	@Bean
	@Primary
	LocalContainerEntityManagerFactoryBean entityManagerFactory(
			Settings settings,
			DataSource dataSource,
			ConfigurableListableBeanFactory beans,
			FhirContext fhirContext,
			JpaStorageSettings storage) {
		Class<?> dialect = settings.database().isPostgres() ? HapiFhirPostgresDialect.class : HapiFhirH2Dialect.class;
		LocalContainerEntityManagerFactoryBean factory =
				HapiEntityManagerFactoryUtil.newEntityManagerFactory(beans, fhirContext, storage);
		factory.setPersistenceUnitName("fhir");
		factory.setDataSource(dataSource);
		factory.setJpaPropertyMap(Map.of(
				"hibernate.dialect", dialect.getName(),
				"hibernate.hbm2ddl.auto", "update",
				"hibernate.jdbc.batch_size", "20",
				"hibernate.cache.use_query_cache", "false",
				"hibernate.cache.use_second_level_cache", "false",
				"hibernate.search.enabled", "false"));
		return factory;
	}

	@Bean
	@Primary
	JpaTransactionManager transactionManager(EntityManagerFactory entityManagerFactory) {
		return new JpaTransactionManager(entityManagerFactory);
	}
}
