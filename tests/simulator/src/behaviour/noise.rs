//! The calls of an organisation that have nothing to do with its secrets: most of any trail.
//!
//! One generator per place, with its own random numbers. Among them are the confusable ones: KMS for other services, public
//! parameters, sessions with tokens in their responses, and a few records of tens of kilobytes.

use rand::Rng;

use crate::{
    cast::{Cast, Host, Place},
    clock::locale_time,
    identity::{Caller, aws_service, build_job, host, person},
    json::Object,
    plan::fake_session_token,
    random::{Random, chance, hex, pick, push_uuid, random_for},
    record::Record,
};

/// Service, call, read-only, request, response; `@` stands for a random hexadecimal word.
type Kind = (&'static str, &'static str, bool, &'static str, &'static str);

const KINDS: &[Kind] = &[
    (
        "ec2",
        "DescribeInstances",
        true,
        r#"{"maxResults":1000,"instancesSet":{},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"},{"value":"pending"}]}},{"name":"tag:aws:autoscaling:groupName","valueSet":{"items":[{"value":"web-@"}]}}]}}"#,
        "null",
    ),
    (
        "ec2",
        "DescribeNetworkInterfaces",
        true,
        r#"{"networkInterfaceIdSet":{},"filterSet":{"items":[{"name":"vpc-id","valueSet":{"items":[{"value":"vpc-0@"}]}}]}}"#,
        "null",
    ),
    ("ec2", "DescribeVolumes", true, r#"{"volumeSet":{},"filterSet":{}}"#, "null"),
    (
        "ec2",
        "DescribeSecurityGroups",
        true,
        r#"{"securityGroupSet":{"items":[{"groupId":"sg-0@"},{"groupId":"sg-0@"}]},"filterSet":{}}"#,
        "null",
    ),
    (
        "ec2",
        "DescribeTags",
        true,
        r#"{"filterSet":{"items":[{"name":"resource-id","valueSet":{"items":[{"value":"i-0@"}]}}]}}"#,
        "null",
    ),
    (
        "ec2",
        "CreateTags",
        false,
        r#"{"resourcesSet":{"items":[{"resourceId":"eni-0@"}]},"tagSet":{"items":[{"key":"cluster","value":"shop"},{"key":"owner","value":"platform"}]}}"#,
        r#"{"requestId":"@","_return":true}"#,
    ),
    (
        "s3",
        "GetBucketAcl",
        true,
        r#"{"bucketName":"artefacts-@","Host":"artefacts.s3.amazonaws.com","acl":""}"#,
        "null",
    ),
    (
        "s3",
        "GetBucketPolicyStatus",
        true,
        r#"{"bucketName":"logs-@","Host":"s3.amazonaws.com","policyStatus":""}"#,
        "null",
    ),
    ("sts", "GetCallerIdentity", true, "null", "null"),
    ("sts", "AssumeRole", true, "", ""),
    ("sts", "AssumeRole", true, "", ""),
    ("lambda", "ListFunctions20150331", true, r#"{"maxItems":50}"#, "null"),
    ("lambda", "GetFunctionConfiguration20150331v2", true, r#"{"functionName":"shop-@"}"#, "null"),
    (
        "lambda",
        "UpdateFunctionCode20150331v2",
        false,
        r#"{"functionName":"shop-@","s3Bucket":"artefacts","s3Key":"shop/@.zip","publish":true,"dryRun":false}"#,
        r#"{"functionName":"shop","runtime":"python3.12","handler":"app.handler","codeSize":1048576,"timeout":30,"memorySize":512,"codeSha256":"@","packageType":"Zip","state":"Active","lastUpdateStatus":"InProgress","architectures":["arm64"]}"#,
    ),
    (
        "monitoring",
        "DescribeAlarms",
        true,
        r#"{"alarmNamePrefix":"TargetTracking-service/shop/@","maxRecords":100}"#,
        "null",
    ),
    (
        "monitoring",
        "PutMetricAlarm",
        false,
        r#"{"alarmName":"TargetTracking-table/shop-AlarmLow-@","metricName":"ConsumedReadCapacityUnits","namespace":"AWS/DynamoDB","statistic":"Sum","dimensions":[{"name":"TableName","value":"shop"}],"period":60,"evaluationPeriods":15,"threshold":12.0,"comparisonOperator":"LessThanThreshold","actionsEnabled":true}"#,
        "null",
    ),
    ("logs", "CreateLogStream", false, r#"{"logGroupName":"/aws/lambda/shop","logStreamName":"[$LATEST]@"}"#, "null"),
    ("logs", "DescribeLogGroups", true, r#"{"logGroupNamePrefix":"/aws/ecs/@","limit":50}"#, "null"),
    (
        "autoscaling",
        "DescribeAutoScalingGroups",
        true,
        r#"{"autoScalingGroupNames":["web-@"],"maxRecords":100}"#,
        "null",
    ),
    ("ecs", "DescribeTasks", true, r#"{"cluster":"shop","tasks":["@","@","@"]}"#, "null"),
    (
        "ecs",
        "RegisterContainerInstance",
        false,
        r#"{"cluster":"shop","versionInfo":{"agentVersion":"1.99.0"},"totalResources":[{"name":"CPU","type":"INTEGER","integerValue":4096}]}"#,
        r#"{"containerInstance":{"status":"ACTIVE","agentConnected":true,"runningTasksCount":0}}"#,
    ),
    ("ecr", "GetAuthorizationToken", true, "{}", "null"),
    (
        "ecr",
        "BatchGetImage",
        true,
        r#"{"registryId":"418204159035","repositoryName":"shop/web","imageIds":[{"imageTag":"@"}],"acceptedMediaTypes":["application/vnd.oci.image.index.v1+json","application/vnd.docker.distribution.manifest.v2+json"]}"#,
        "null",
    ),
    (
        "kms",
        "Decrypt",
        true,
        r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::artefacts/shop/@"}}"#,
        "null",
    ),
    (
        "kms",
        "Decrypt",
        true,
        r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:ebs:id":"vol-0@"}}"#,
        "null",
    ),
    (
        "kms",
        "GenerateDataKey",
        true,
        r#"{"keySpec":"AES_256","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::logs/@"},"keyId":"alias/logs"}"#,
        "null",
    ),
    (
        "ssm",
        "UpdateInstanceInformation",
        true,
        r#"{"agentVersion":"3.3.3050.0","agentStatus":"Active","instanceId":"i-0@","availabilityZone":"use1-az4"}"#,
        "null",
    ),
    (
        "ssm",
        "GetParameter",
        true,
        r#"{"name":"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64","withDecryption":false}"#,
        "null",
    ),
    (
        "ssm",
        "GetParametersByPath",
        true,
        r#"{"path":"/aws/service/global-infrastructure/regions","recursive":false,"maxResults":10}"#,
        "null",
    ),
    ("dynamodb", "DescribeTable", true, r#"{"tableName":"carts-@"}"#, "null"),
    (
        "elasticloadbalancing",
        "DescribeTargetHealth",
        true,
        r#"{"targetGroupArn":"arn:aws:elasticloadbalancing:us-east-1:527316084912:targetgroup/web/@"}"#,
        "null",
    ),
    ("rds", "DescribeDBInstances", true, r#"{"dBInstanceIdentifier":"orders-@"}"#, "null"),
    ("cloudformation", "DescribeStacks", true, r#"{"stackName":"shop-@"}"#, "null"),
    ("iam", "GetRole", true, r#"{"roleName":"svc-@"}"#, "null"),
    (
        "config",
        "PutEvaluations",
        false,
        r#"{"evaluations":[{"complianceResourceType":"AWS::EC2::Instance","complianceResourceId":"i-0@","complianceType":"COMPLIANT","orderingTimestamp":"@"}],"resultToken":"***","testMode":false}"#,
        "null",
    ),
    ("eks", "DescribeNodegroup", true, r#"{"name":"shop","nodegroupName":"workers-@"}"#, "null"),
];

/// Writes records for one place.
pub(crate) struct Noise {
    place: Place,
    random: Random,
    /// Callers with the identity written once.
    callers: Vec<(Caller, String)>,
    id: String,
    request_id: String,
    request: String,
    response: String,
}

impl Noise {
    pub(crate) fn new(cast: &Cast, place: Place) -> Self {
        let mut random = random_for(cast.seed, &format!("noise {} {}", place.account, place.region));
        let mut callers = Vec::new();
        for number in 0..14 {
            let role = cast.role(place.account, "/", &format!("app-{number:02}"));
            let kind = if number % 2 == 0 { Host::Ec2 } else { Host::Ecs };
            callers.push(host(&mut random, cast, role, place, kind, number % 3 == 0, 1_780_000_000));
        }
        for name in ["karpenter", "datadog-integration", "keda-operator"] {
            let role = cast.role(place.account, "/", name);
            callers.push(build_job(&mut random, role, &format!("{name}-session"), 1_780_000_000));
        }
        let role = cast.sso_role(place.account, "ReadOnly");
        callers.push(person(&mut random, role, "judy.park", 1_780_000_000));
        for service in
            ["autoscaling.amazonaws.com", "ec2.amazonaws.com", "lambda.amazonaws.com", "config.amazonaws.com"]
        {
            callers.push(aws_service(place.account, service));
        }
        let callers = callers
            .into_iter()
            .map(|caller| (caller.identity(), caller))
            .map(|(identity, caller)| (caller, identity))
            .collect();
        Self {
            place,
            random,
            callers,
            id: String::new(),
            request_id: String::new(),
            request: String::new(),
            response: String::new(),
        }
    }

    pub(crate) fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Appends one record.
    pub(crate) fn write(&mut self, at: i64, out: &mut String) {
        let Self { place, random, callers, id, request_id, request, response } = self;
        let (caller, identity) = pick(random, callers);
        let &(service, name, read_only, request_form, response_form) = pick(random, KINDS);
        // IAM is recorded in us-east-1 only.
        let elsewhere = service == "iam" && place.region != "us-east-1";
        let (service, name, request_form) =
            if elsewhere { ("rds", "DescribeDBClusters", "{}") } else { (service, name, request_form) };
        for text in [&mut *id, &mut *request_id] {
            text.clear();
            push_uuid(random, text);
        }
        fill(random, request_form, request);
        fill(random, response_form, response);
        let mut name = name;
        if request_form.is_empty() {
            (*request, *response) = assume_role(random, *place, at);
        } else if !read_only && chance(random, 0.03) {
            name = "RunInstances";
            *response = run_instances(random);
        }
        // A refused Parameter Store call would be an attempt at an unknown secret: that is for incidents to plant.
        let denied = !matches!(service, "ssm" | "kms") && chance(random, 0.02);
        Record {
            version: ["1.08", "1.09", "1.10", "1.11"][random.random_range(0..4)],
            identity,
            at,
            service: if name == "RunInstances" { "ec2" } else { service },
            name,
            region: place.region,
            address: &caller.address,
            user_agent: &caller.user_agent,
            error: denied.then_some(if service == "ec2" { "Client.UnauthorizedOperation" } else { "AccessDenied" }),
            error_message: denied.then_some(
                "User is not authorized to perform this operation because no identity-based policy allows it",
            ),
            request: (!denied).then_some(request.as_str()),
            response: (!denied).then_some(response.as_str()),
            request_id,
            event_id: id,
            read_only,
            account: place.account,
            endpoint: caller.endpoint.as_deref(),
            endpoint_account: caller.endpoint.is_some().then_some(place.account),
            tls: caller.invoked_by.is_none(),
            from_console: caller.console,
            ..Record::default()
        }
        .write(out);
    }
}

fn fill(random: &mut Random, form: &str, out: &mut String) {
    out.clear();
    for (index, part) in form.split('@').enumerate() {
        if index > 0 {
            let word: u64 = random.random();
            out.push_str(&format!("{word:016x}"));
        }
        out.push_str(part);
    }
}

fn assume_role(random: &mut Random, place: Place, at: i64) -> (String, String) {
    let name = format!("app-{:02}", random.random_range(0..14_u8));
    let session = hex(random, 32);
    let request = Object::new()
        .string("roleArn", &format!("arn:aws:iam::{}:role/{name}", place.account))
        .string("roleSessionName", &session)
        .end();
    let credentials = Object::new()
        .string("accessKeyId", &crate::random::iam_id(random, "ASIA"))
        .string("sessionToken", &fake_session_token(random))
        .string("expiration", &locale_time(at + 3_600))
        .end();
    let assumed = Object::new()
        .string("assumedRoleId", &format!("{}:{session}", crate::random::iam_id(random, "AROA")))
        .string("arn", &format!("arn:aws:sts::{}:assumed-role/{name}/{session}", place.account))
        .end();
    (request, Object::new().raw("credentials", &credentials).raw("assumedRoleUser", &assumed).end())
}

/// A response with an entry per instance: ten to forty kilobytes.
fn run_instances(random: &mut Random) -> String {
    let mut items = Vec::new();
    for index in 0..random.random_range(8..32) {
        items.push(format!(
            r#"{{"instanceId":"i-0{}","imageId":"ami-0{}","instanceState":{{"code":0,"name":"pending"}},"privateDnsName":"ip-10-20-{index}-9.ec2.internal","keyName":"shop","amiLaunchIndex":{index},"productCodes":{{}},"instanceType":"m7g.large","launchTime":1793491200000,"placement":{{"availabilityZone":"us-east-1b","tenancy":"default"}},"monitoring":{{"state":"pending"}},"subnetId":"subnet-0{}","vpcId":"vpc-0ab12cd34ef56ab78","privateIpAddress":"10.20.{index}.9","stateReason":{{"code":"pending","message":"pending"}},"architecture":"arm64","rootDeviceType":"ebs","rootDeviceName":"/dev/xvda","blockDeviceMapping":{{}},"virtualizationType":"hvm","hypervisor":"xen","tagSet":{{"items":[{{"key":"aws:autoscaling:groupName","value":"web"}},{{"key":"Name","value":"web"}}]}},"groupSet":{{"items":[{{"groupId":"sg-0{}","groupName":"web"}}]}},"sourceDestCheck":true,"ebsOptimized":true}}"#,
            hex(random, 16),
            hex(random, 16),
            hex(random, 16),
            hex(random, 16)
        ));
    }
    format!(
        r#"{{"requestId":"{}","reservationId":"r-0{}","groupSet":{{}},"instancesSet":{{"items":[{}]}}}}"#,
        hex(random, 32),
        hex(random, 16),
        items.join(",")
    )
}
