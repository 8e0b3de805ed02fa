package org.ketafhir.examples;

import org.apache.camel.Exchange;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.mllp.MllpConstants;
import org.apache.camel.main.Main;

/**
 * HL7v2 over MLLP into ketafhir over HTTP. The acknowledgment of ketafhir goes back to the sender as it is; where
 * ketafhir does not answer, the sender gets AR and sends again, which changes nothing where it was stored after all.
 */
public class MllpToKetafhir extends RouteBuilder {
    private static final String HL7V2 = "x-application/hl7-v2+er7";

    public static void main(String[] arguments) throws Exception {
        Main main = new Main();
        main.configure().addRoutesBuilder(new MllpToKetafhir());
        main.run(arguments);
    }

    @Override
    public void configure() {
        // Camel shows messages in its log unless it is told not to.
        getContext().getGlobalOptions().put("CamelMllpLogPhi", "false");

        from("mllp:{{env:MLLP_LISTEN:127.0.0.1:6661}}?validatePayload=true&stringPayload=false")
            .routeId("mllp-to-ketafhir")
            .doTry()
                .removeHeaders("*")
                .setHeader(Exchange.HTTP_METHOD, constant("POST"))
                .setHeader(Exchange.CONTENT_TYPE, constant(HL7V2))
                .setHeader("Accept", constant(HL7V2))
                .setHeader("Authorization", simple("Bearer {{env:KETAFHIR_TOKEN}}"))
                .to("{{env:KETAFHIR_URL:http://127.0.0.1:8575}}/v1/messages?throwExceptionOnFailure=false"
                    + "&followRedirects=false&responseTimeout=30000")
                .convertBodyTo(byte[].class)
                .choice()
                    .when(header(Exchange.CONTENT_TYPE).startsWith(HL7V2))
                        .setProperty(MllpConstants.MLLP_ACKNOWLEDGEMENT, body())
                    .otherwise()
                        .setProperty(MllpConstants.MLLP_ACKNOWLEDGEMENT_TYPE, constant("AR"))
                .endChoice()
            .endDoTry()
            .doCatch(Exception.class)
                .setProperty(MllpConstants.MLLP_ACKNOWLEDGEMENT_TYPE, constant("AR"))
            .end();
    }
}
