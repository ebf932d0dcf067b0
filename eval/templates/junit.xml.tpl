{{%AUTOESCAPE context="XML"}}<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
{{#SUITE}}
  <testsuite id="{{ID}}" package="polygraft" name="{{LANGUAGE}}" timestamp="{{TIME}}" hostname="localhost" tests="{{TESTS}}" failures="{{FAILURES}}" errors="{{ERRORS}}" skipped="0" time="0">
    <properties>
      <property name="report" value="{{NAME}}"/>
{{#REMARK}}
      <property name="note" value="{{TEXT}}"/>
{{/REMARK}}
    </properties>
{{#CASE}}
    <testcase name="{{TASK}} {{METRIC}}" classname="polygraft.{{LANGUAGE}}" time="0">
{{#FAILURE}}
      <failure type="fail" message="{{REASON}}">{{NUMBERS}}</failure>
{{/FAILURE}}
{{#ERROR}}
      <error type="{{KIND}}" message="{{REASON}}">{{NUMBERS}}</error>
{{/ERROR}}
    </testcase>
{{/CASE}}
    <system-out>
{{#CASE_NUMBERS}}
{{TASK}} {{METRIC}}: {{NUMBERS}}
{{/CASE_NUMBERS}}
    </system-out>
    <system-err></system-err>
  </testsuite>
{{/SUITE}}
</testsuites>
